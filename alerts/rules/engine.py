"""Holds the current alert of every rule on every subject, and puts samples and the passing of time to them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from alerts.config.rule import Rule, Schedule
from alerts.config.schedule import Window
from alerts.model.alert import Alert, State, Transition, TransitionType
from alerts.model.sample import Quality, Sample
from alerts.rules.compiled import compile_rule, sampling_s
from alerts.rules.evaluate import begin_at_most, close, evaluate, regrade
from alerts.rules.matching import Attributes
from alerts.rules.pairs import NEVER, DueQueue, Hearing, Needs, Pair, Subject
from alerts.rules.roster import Change, Roster
from alerts.rules.status import RuleStatus, status_of
from alerts.rules.system import UNIT_UNREACHABLE

_EXCUSED = 5.0  # standstills: a silence as long as this many is forgotten


class Engine:
    """Decides; the caller stores and announces the transitions that are returned, in order.

    `now_s` is the steady clock of the samples' `time`, `at` the wall clock (aware UTC). While a unit is away
    (its alert `unit-unreachable` is open, or `set_reachable` said so) its other alerts hold.
    At start: `set_rules`, `add_subject` for each, then `restore`; then `tick` once a second.
    """

    def __init__(self, timezone: str) -> None:
        self.evaluations = 0
        self.older_samples = 0  # ignored
        self.ticked = 0  # pairs that ticks have looked at
        self._ticked_s = -NEVER  # the last tick
        self._timezone = timezone
        self._roster = Roster()
        self._windows: dict[Schedule, Window] = {}
        self._was_open: dict[Schedule, bool] = {}
        self._due = DueQueue()
        self._parked: dict[tuple[str, str], Alert] = {}  # by rule and subject, where there is no pair of them now
        self._open: dict[str, tuple[str, str]] = {}  # alert id -> rule and subject
        self._dirty: dict[tuple[str, str], Alert] = {}

    def observe(self, sample: Sample, now_s: float) -> Sequence[Transition]:
        """What a sample changes. Subjects and metrics no rule asks for change nothing."""
        series = self._roster.series.get((sample.subject, sample.metric))
        if series is None:
            return ()
        if sample.time < series.last_s:
            self.older_samples += 1
            return ()
        series.last_s, series.last_at, series.last_value = sample.time, sample.at, sample.value
        if _is_heard(sample):
            series.value_s = sample.time
        if series.is_held:
            return ()
        self.evaluations += len(series.pairs)
        transitions: list[Transition] = []
        for pair in series.pairs:
            alert, transition = evaluate(pair.rule, pair.alert, sample)
            if alert is not pair.alert:
                transitions += self._follow(pair, alert, transition, now_s)
        return transitions

    def tick(self, at: datetime, now_s: float) -> list[Transition]:
        """What the passing of time changes: no-data, ends of cooldowns, edges of windows."""
        self._ticked_s = now_s
        for schedule, window in self._windows.items():
            is_open = window.is_open(at)
            if self._was_open[schedule] is not is_open:
                self._was_open[schedule] = is_open
                self._wake((pair for pair in self._roster.pairs() if pair.rule.window is window), now_s)
        transitions: list[Transition] = []
        for pair in self._due.take(now_s):
            self.ticked += 1
            if pair.series.is_held:
                continue  # woken when the subject is back
            if pair.alert.state is State.INACTIVE and pair.due_s() > now_s:
                self._queue(pair, now_s)
                continue
            alert, transition = evaluate(pair.rule, pair.alert, pair.series.tick(at, now_s))
            if alert is not pair.alert:
                transitions += self._follow(pair, alert, transition, now_s)
            if pair.rule.window is None or pair.rule.window.is_open(at):  # else woken when it opens
                self._queue(pair, now_s)
        return transitions

    def resume(self, now_s: float) -> None:
        """The hub itself stood still until now: silence counts from here, as nothing could be heard before.

        So that time alone brings no no-data onset and no clear. It sustains nothing either: what the hub did not
        hear is missing, and a pending onset or clear whose values lie too far apart begins anew.
        A silence that is much older than the standstill is not forgotten: a hub that stands still again and again
        would never tell of it.
        """
        excused_s = _EXCUSED * (now_s - self._ticked_s)
        for subject in self._roster.subjects.values():
            for series in subject.series.values():
                series.value_s = max(series.value_s, min(now_s, series.value_s + excused_s))

    def set_reachable(self, subject: str, reachable: bool, now_s: float) -> None:
        """Hold the alerts of a subject that is away on purpose, such as a released unit; or let them go on."""
        known = self._roster.subjects[subject]
        known.is_released = not reachable
        self._settle(known, now_s)

    def set_rules(self, rules: Iterable[Rule], at: datetime, now_s: float) -> list[Transition]:
        """Decide by these rules from now on. Those that decide as before go on; the others begin anew."""
        compiled = {rule.name: compile_rule(rule, self._timezone) for rule in rules}
        self._windows = {}
        for name, rule in compiled.items():
            if rule.rule.schedule is not None and rule.window is not None:
                shared = self._windows.setdefault(rule.rule.schedule, rule.window)
                compiled[name] = replace(rule, window=shared)
        before = self._was_open
        self._was_open = {s: before.get(s, window.is_open(at)) for s, window in self._windows.items()}
        transitions = self._rearrange(self._roster.set_rules(compiled, now_s), at, now_s)
        for key, alert in list(self._parked.items()):
            reason = self._roster.ended(alert)
            if reason is not None:
                del self._parked[key]
                transitions += self._shut(alert, reason, at, now_s)
        return transitions

    def add_subject(
        self,
        subject: str,
        labels: Mapping[str, str],
        at: datetime,
        now_s: float,
        attributes: Attributes | None = None,
        metrics: Collection[str] | None = None,
    ) -> list[Transition]:
        """Watch a subject; silence counts from now on. A known one gets other labels, attributes and metrics.

        Attributes are a machine's `status` and `status_category`. `metrics` are those the subject has: rules on
        others are not about it; None: it may have any. A known subject may leave rules (their alerts close) or join
        some.
        """
        known, asked = self._roster.subjects.get(subject), (labels, attributes or {}, metrics)
        if known is not None and (known.labels, known.attributes, known.metrics) == asked:
            return []
        change = self._roster.put_subject(subject, labels, attributes or {}, now_s, metrics)
        return self._rearrange(change, at, now_s)

    def remove_subject(self, subject: str, at: datetime, now_s: float) -> list[Transition]:
        """Stop watching; open alerts close with reason `subject-removed`."""
        transitions = self._rearrange(self._roster.remove_subject(subject), at, now_s)
        for key in [key for key in self._parked if key[1] == subject]:
            transitions += self._shut(self._parked.pop(key), "subject-removed", at, now_s)
        return transitions

    def restore(self, alerts: Iterable[Alert], at: datetime, now_s: float) -> list[Transition]:
        """Take up stored alerts where they were; those whose rule or subject is gone close."""
        transitions: list[Transition] = []
        for alert in alerts:
            pair = self._roster.pair(alert.rule, alert.subject)
            is_awaited = alert.subject.startswith("equipment/") and alert.subject not in self._roster.subjects
            reason = self._roster.ended(alert)
            if reason is None and pair is None and not is_awaited:
                reason = "no-longer-matches" if alert.subject in self._roster.subjects else "subject-removed"
            if reason is not None:
                transitions += self._shut(alert, reason, at, now_s)
                continue
            alert = self._index(begin_at_most(self._roster.rules[alert.rule], alert, now_s))
            if pair is None:
                self._parked[alert.rule, alert.subject] = alert
            else:
                pair.alert, transition = regrade(pair.rule, alert, pair.series.tick(at, now_s))
                transitions += [transition] if transition is not None else []
                self._due.put(pair, now_s, now_s)
        for subject in self._roster.subjects.values():
            self._settle(subject, now_s)
        return transitions

    def acknowledge(self, alert_id: str, who: str, comment: str | None, at: datetime, now_s: float) -> Transition:
        """Someone takes the alert on. Raises KeyError where no alert with this id is open."""
        return self._annotate(TransitionType.ACK, alert_id, who, comment, at, now_s)

    def unacknowledge(self, alert_id: str, at: datetime, now_s: float) -> Transition:
        """Nobody has taken it on any more. Raises KeyError where no alert with this id is open."""
        return self._annotate(TransitionType.UNACK, alert_id, None, None, at, now_s)

    def alert(self, alert_id: str) -> Alert | None:
        """The open alert with this id."""
        key = self._open.get(alert_id)
        if key is None:
            return None
        pair = self._roster.pair(*key)
        return pair.alert if pair is not None else self._parked[key]

    def open_alerts(self) -> list[Alert]:
        """All alerts that are firing or clearing."""
        return [alert for alert_id in self._open if (alert := self.alert(alert_id)) is not None]

    def take_dirty(self) -> list[Alert]:
        """Alerts whose timers or peak changed without a transition since the last call: for the batch writer."""
        dirty, self._dirty = self._dirty, {}
        return list(dirty.values())

    def has_subject(self, subject: str) -> bool:
        """Whether the subject was added and not removed."""
        return subject in self._roster.subjects

    def labels_of(self, subject: str) -> Mapping[str, str]:
        """The labels of a subject; none where it is not known."""
        known = self._roster.subjects.get(subject)
        return known.labels if known is not None else {}

    def needs(self, subject: str, watched_s: float) -> Needs:
        """What the rules ask of a subject that is sampled every `watched_s` while people watch it."""
        known = self._roster.subjects.get(subject)
        rules = [pair.rule.rule for pair in known.pairs.values()] if known is not None else []
        is_ruled = any(rule.name != UNIT_UNREACHABLE for rule in rules)
        every_s = min(sampling_s(rule, watched_s) for rule in rules) if is_ruled else None
        return Needs(frozenset(known.series) if known is not None else frozenset(), every_s)

    def hearing(self, subject: str, metrics: Collection[str], now_s: float) -> list[Hearing]:
        """What each rule on one of these metrics hears of a subject."""
        known = self._roster.subjects.get(subject)
        return [
            Hearing(pair.rule.rule.name, name, series.last_value is not None, series.silent_s(now_s))
            for name, series in (known.series.items() if known is not None else ())
            if name in metrics
            for pair in series.pairs
        ]

    def rule_status(self) -> list[RuleStatus]:
        """How each rule stands, in the order of the configuration."""
        pairs: dict[str, list[Pair]] = {name: [] for name in self._roster.rules}
        for pair in self._roster.pairs():
            pairs[pair.alert.rule].append(pair)
        return [status_of(rule.rule, pairs[name]) for name, rule in self._roster.rules.items()]

    def _follow(self, pair: Pair, alert: Alert, transition: Transition | None, now_s: float) -> list[Transition]:
        """Take over what was decided."""
        before, pair.alert = pair.alert, alert
        self._queue(pair, now_s)
        if transition is None:
            if _is_worth_storing(before, alert):
                self._dirty[pair.key] = alert
            return []
        self._dirty.pop(pair.key, None)
        self._index(alert)
        if alert.rule == UNIT_UNREACHABLE:
            self._settle(pair.series.subject, now_s)
        return [replace(transition, decided_s=now_s)]

    def _index(self, alert: Alert) -> Alert:
        if alert.id is not None:
            if alert.is_open:
                self._open[alert.id] = (alert.rule, alert.subject)
            else:
                self._open.pop(alert.id, None)
        return alert

    def _settle(self, subject: Subject, now_s: float) -> None:
        """See whether the subject is away. When it is back, silence counts from now."""
        pair = subject.pairs.get(UNIT_UNREACHABLE)
        was_away = subject.is_away
        subject.is_away = subject.is_released or (pair is not None and pair.alert.is_open)
        if was_away and not subject.is_away:
            for series in subject.series.values():
                series.value_s = max(series.value_s, now_s)
            self._wake(subject.pairs.values(), now_s)

    def _queue(self, pair: Pair, now_s: float) -> None:
        due_s = pair.due_s()
        if due_s < NEVER:
            self._due.put(pair, due_s if due_s > now_s else now_s + 1.0, now_s)

    def _wake(self, pairs: Iterable[Pair], now_s: float) -> None:
        for pair in pairs:
            due_s = pair.due_s() if pair.alert.state is State.INACTIVE else now_s
            if due_s < NEVER:
                self._due.put(pair, due_s, now_s)

    def _rearrange(self, change: Change, at: datetime, now_s: float) -> list[Transition]:
        """Close what has parted, begin what has joined, and bring what stayed to its new severity."""
        transitions: list[Transition] = []
        for pair, reason in change.left:
            self._due.drop(pair)
            self._dirty.pop(pair.key, None)
            transitions += self._shut(pair.alert, reason, at, now_s)
            if pair.alert.rule == UNIT_UNREACHABLE:
                self._settle(pair.series.subject, now_s)
            if reason == "no-longer-matches" and pair.alert.cooldown_until_s is not None:
                rest, _ = close(pair.alert, pair.series.tick(at, now_s), reason)
                self._parked[pair.key] = rest  # the cooldown outlasts a short absence
        for pair in change.joined:
            pair.alert = self._parked.pop(pair.key, pair.alert)
            self._queue(pair, now_s)
            if pair.alert.is_open:
                self._due.put(pair, now_s, now_s)
        for pair in change.stayed:
            alert, transition = regrade(pair.rule, pair.alert, pair.series.tick(at, now_s))
            if transition is not None:
                transitions += self._follow(pair, alert, transition, now_s)
        return transitions

    def _shut(self, alert: Alert, reason: str, at: datetime, now_s: float) -> list[Transition]:
        """Close the alert of a rule or subject that is gone."""
        tick = Sample(alert.subject, alert.metric, None, at, now_s, Quality.TICK)
        closed, transition = close(alert, tick, reason)
        self._index(closed)
        return [transition] if transition is not None else []

    def _annotate(
        self, kind: TransitionType, alert_id: str, who: str | None, comment: str | None, at: datetime, now_s: float
    ) -> Transition:
        alert = self.alert(alert_id)
        if alert is None:
            raise KeyError(alert_id)
        taken_at = at if who is not None else None
        alert = replace(
            alert, acknowledged_by=who, acknowledged_at=taken_at, comment=comment, sequence=alert.sequence + 1
        )
        self._dirty.pop((alert.rule, alert.subject), None)  # it holds the alert as it was before
        pair = self._roster.pair(alert.rule, alert.subject)
        if pair is not None:
            pair.alert = alert
        else:
            self._parked[alert.rule, alert.subject] = alert
        return Transition(kind, at, alert, sample_time_s=now_s, decided_s=now_s)


def _is_heard(sample: Sample) -> bool:
    """Whether the sample ends a silence. Under-range is a sign of life too, though it decides nothing."""
    if sample.quality is Quality.OK:
        return sample.value is not None
    return sample.quality is Quality.OVER or sample.quality is Quality.UNDER


def _is_worth_storing(before: Alert, after: Alert) -> bool:
    """While a timer runs every value counts, else only a new peak: no write a second for each alert that fires."""
    timers = (after.pending_since_s, after.clearing_since_s, *after.level_since_s)
    if any(since_s is not None for since_s in timers) or before.peak != after.peak:
        return True
    return (before.state, before.pending_since_s, before.level_since_s) != (
        after.state,
        after.pending_since_s,
        after.level_since_s,
    )
