"""The states of an alert against a naive implementation, which reads the whole series at each event."""

import os
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.config.rule import Rule
from alerts.model.alert import Alert
from alerts.model.sample import Quality, WindowBasis
from tests.alerts.play import BEGIN, Play, at, make_rule

pytestmark = pytest.mark.timeout(1800)

EXAMPLES = 20_000 if os.environ.get("HUB_SOAK") else 1_000
FOLLOW = settings(max_examples=EXAMPLES * 6 // 10, deadline=None, suppress_health_check=list(HealthCheck))
LAW = settings(FOLLOW, max_examples=EXAMPLES * 2 // 10)


@dataclass(frozen=True)
class Event:
    """A sample, or a tick where the quality is `TICK`."""

    second: float
    value: float
    quality: Quality
    cadence_s: float = 1.0
    window: WindowBasis | None = None


def is_in_window(event: Event) -> bool:
    """Whether it lies in 22:01 to 22:04, the schedule of the rules below that have one."""
    moment = BEGIN + timedelta(seconds=event.second)
    return moment.hour == BEGIN.hour and 1 <= moment.minute < 4


def holds_until(event: Event) -> float:
    """How long it may be until the next one: three of the intervals that were asked for at this one, or 10 s."""
    return event.second + max(3 * event.cadence_s, 10)


class Reference:
    """The expected transition, from the events so far and from the last transition."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.events: list[Event] = []
        self.began = 0  # index of the first event after the last transition
        self.open_for: str | None = None
        self.onset_at: float | None = None
        self.counted: list[float] = []  # the values that led to the onset, the newest first, and those since

    @property
    def peak(self) -> float:
        """The most extreme value of the alert's life."""
        return max(self.counted) if self.rule.above is not None else min(self.counted)

    def verdict(self, event: Event) -> str | None:
        """`exceeds`, `between` or `clear`; None where the event decides nothing."""
        rule = self.rule
        if event.quality is Quality.OVER:
            if rule.above is not None:
                return "exceeds"
            return "clear" if event.value > (rule.below or 0) + rule.margin else None
        if event.quality is not Quality.OK and not (event.quality is Quality.UNDER and event.window):
            return None  # under range alone it is no number; as a part of a window it is one
        if rule.above is not None:
            return (
                "exceeds"
                if event.value > rule.above
                else "clear"
                if event.value < rule.above - rule.margin
                else "between"
            )
        assert rule.below is not None
        return (
            "exceeds"
            if event.value < rule.below
            else "clear"
            if event.value > rule.below + rule.margin
            else "between"
        )

    def decides(self, event: Event) -> bool:
        """Whether its value is evaluated."""
        return self.verdict(event) is not None and (not self.rule.schedule or is_in_window(event))

    def run(self, verdict: str) -> list[Event]:
        """All events without a gap between them that decided the same, the newest first."""
        run: list[Event] = []
        for event in reversed(self.events[self.began :]):
            said = self.verdict(event)
            if event.quality is Quality.RUN_ENDED or (self.rule.schedule and not is_in_window(event)):
                break
            if said is None:
                continue
            if said != verdict or (run and run[-1].second > holds_until(event)):
                break
            run.append(event)
        return run

    def lasted(self, verdict: str) -> tuple[float, float] | None:
        """For how long they decided the same, and until when that counts without another."""
        run = self.run(verdict)
        return (run[0].second - run[-1].second, holds_until(run[0])) if run else None

    def heard_s(self) -> float:
        """When there was last a value."""
        alive = (Quality.OK, Quality.OVER, Quality.UNDER)
        return max([0.0, *(e.second for e in self.events if e.quality in alive)])

    def next(self, event: Event) -> str | None:
        """What the event causes, as `<type> <reason>`."""
        self.events.append(event)
        happens = self.decide(event)
        if happens is not None:
            kind = happens.split()[0]
            if kind == "onset":
                self.counted = [event.value for event in self.run("exceeds")]
            elif self.open_for == "value":
                self.counted += [e.value for e in self.events[self.began :] if self.decides(e)]
            if kind != "clear" and self.open_for is None:
                self.onset_at = event.second
            self.open_for = None if kind == "clear" else "no-data" if kind == "no_data" else "value"
            self.began = len(self.events)
        return happens

    def decide(self, event: Event) -> str | None:
        rule, is_open = self.rule, self.open_for is not None
        if rule.schedule and not is_in_window(event):
            return "clear window-closed" if is_open else None
        if event.quality is Quality.RUN_ENDED:
            return "clear run-ended" if self.open_for == "value" else None
        is_cooling = self.onset_at is not None and event.second < self.onset_at + rule.cooldown
        said = self.verdict(event)
        if self.open_for == "value":
            run = self.lasted("clear")
            if said == "clear" and run and run[0] >= rule.clear_for_s:
                return "clear None"
        elif said is not None and said != "exceeds":
            if is_open:
                return "clear data-returned"
        elif said is not None or (event.quality is Quality.TICK and not is_open):
            run = self.lasted("exceeds")
            if run and run[0] >= rule.for_ and event.second <= run[1] and (is_open or not is_cooling):
                return f"onset {'over-range' if self.run('exceeds')[0].quality is Quality.OVER else None}"
        if event.quality is Quality.TICK and event.second - self.heard_s() >= rule.no_data.after:
            if rule.no_data.action == "clear" and is_open:
                return "clear no-data"
            if rule.no_data.action == "alarm" and not is_open and not is_cooling:
                return "no_data no-data"
        return None


RULES = st.fixed_dictionaries(
    {
        "clear_margin": st.sampled_from([0, 2, 5]),
        "for": st.sampled_from(["0s", "1s", "3s", "10s", "30s"]),
        "clear_for": st.sampled_from(["0s", "2s", "10s"]),
        "cooldown": st.sampled_from(["0s", "5s", "60s"]),
        "no_data": st.fixed_dictionaries(
            {"after": st.sampled_from(["4s", "20s", "60s"]), "action": st.sampled_from(["hold", "alarm", "clear"])}
        ),
        "schedule": st.sampled_from([None, {"from": "22:01", "to": "22:04"}]),
    }
)
SIDES = st.sampled_from(["above", "below"])
STRETCH = st.tuples(
    st.sampled_from([Quality.OK] * 6 + [Quality.TICK] * 2 + [q for q in Quality if q is not Quality.UNREACHABLE]),
    st.sampled_from([50.0, 62.0, 63.0, 64.0, 65.0, 66.0, 67.0, 68.0, 80.0]),
    st.sampled_from([0.5, 1.0, 1.0, 1.0, 5.0, 10.0, 10.5, 30.0, 90.5]),
    st.integers(1, 12),
    st.sampled_from([1.0, 1.0, 1.0, 3.0, 5.0, 30.0]),
    st.sampled_from([None, None, WindowBasis(900, 0.98, ("under",))]),
)
Stretch = tuple[Quality, float, float, int, float, WindowBasis | None]


def events_of(stretches: list[Stretch]) -> list[Event]:
    """Stretches of the same sample; a tick follows every few samples."""
    events, second = [], 0.0
    for quality, value, step_s, times, cadence_s, window in stretches:
        for turn in range(times):
            second += step_s
            events.append(Event(second, value, quality, cadence_s, window))
            if turn % 4 == 3:
                events.append(Event(second, value, Quality.TICK))
    return events


def play_event(play: Play, event: Event) -> list[str]:
    """Give the event to the engine; returns the types of the transitions."""
    if event.quality is Quality.TICK:
        return play.tick(event.second)
    return play.sample(event.second, event.value, event.quality, cadence_s=event.cadence_s, window=event.window)


@FOLLOW
@given(RULES, SIDES, st.lists(STRETCH, min_size=2, max_size=20))
def test_the_machine_does_what_the_rules_mean(
    fields: dict[str, object], side: str, stretches: list[Stretch]
) -> None:
    rule = make_rule(**fields, **{side: 65})
    play, reference = Play(rule), Reference(rule)
    for event in events_of(stretches):
        was_open_for = reference.open_for
        expected = reference.next(event)
        found = [f"{kind} {play.last().reason}" for kind in play_event(play, event)]
        assert found == ([] if expected is None else [expected]), event
        if expected is not None and (expected.startswith("onset") or was_open_for == "value"):
            assert play.last().peak == reference.peak, event
        if expected is not None and expected.startswith("onset"):
            assert play.last().value == reference.counted[0], event


@FOLLOW
@given(
    st.sampled_from(["0s", "3s", "10s"]), st.sampled_from(["0s", "2s"]), st.lists(STRETCH, min_size=2, max_size=20)
)
def test_levels_are_as_many_rules_of_which_the_most_severe_counts(
    for_: str, clear_for: str, stretches: list[Stretch]
) -> None:
    levels = [("info", 62.0), ("warning", 64.0), ("critical", 67.0)]
    common = {"for": for_, "clear_for": clear_for, "cooldown": "0s"}
    play = Play(make_rule(levels=[{"severity": name, "above": above} for name, above in levels], **common))
    apart = Play(*(make_rule(name=name, above=above, **common) for name, above in levels))
    for event in events_of(stretches):
        play_event(play, event)
        play_event(apart, event)
        one = [alert.severity for alert in play.engine.open_alerts()]
        several = [alert.rule for alert in apart.engine.open_alerts()]
        assert one == ([max(several, key=["info", "warning", "critical"].index)] if several else []), event


def bare(alert: Alert) -> Alert:
    """Without the last value, which alone is not worth storing."""
    return replace(alert, value=None, window=None)


@LAW
@given(RULES, st.booleans(), st.lists(STRETCH, min_size=2, max_size=20), st.integers(0, 100))
def test_a_restart_at_any_moment_changes_nothing(
    fields: dict[str, object], has_levels: bool, stretches: list[Stretch], cut: int
) -> None:
    levels = [
        {"severity": "info", "above": 62},
        {"severity": "warning", "above": 64},
        {"severity": "critical", "above": 67},
    ]
    condition = {"levels": levels} if has_levels else {"above": 65}
    rule = make_rule(**{**fields, **condition, "no_data": {"action": "hold"}})
    on = Play(rule)
    stored: dict[tuple[str, str], Alert] = {}
    after: Play | None = None
    for index, event in enumerate(events_of(stretches)):
        if index == cut:
            after = Play(rule)
            assert after.engine.restore(stored.values(), *at(event.second)) == []
        known = len(on.seen)
        happened = play_event(on, event)
        if after is not None:
            assert play_event(after, event) == happened, event
            transitions = after.seen[len(after.seen) - len(happened) :]
            assert [bare(t.alert) for t in transitions] == [bare(t.alert) for t in on.seen[known:]]
        for alert in [*(t.alert for t in on.seen[known:]), *on.engine.pop_changed()]:
            stored[alert.rule, alert.subject] = alert
