"""Windowed rules that see nothing say so: as an alert of the hub, at the unit, and in health."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from alerts.config.rule import Rule
from alerts.model.alert import Transition
from alerts.model.sample import Sample
from alerts.rules.engine import Engine
from alerts.rules.pairs import RuleInput
from alerts.rules.system import system_rules
from hub.nl43.config import NL43Config
from hub.readings.reading import Reading
from hub.readings.samples import UnitSampler, unit_subject
from hub.readings.snapshot import Failure, PollFailure, Snapshot
from hub.units.coverage import Coverage
from hub.units.unit import Unit
from tests.hub.fake_link import FakeLink, linked
from tests.virtual_time import VirtualClock

START = datetime(2026, 3, 18, 22, tzinfo=UTC)
NOTHING: Reading = Reading._make([None] * 16 + [""])


class SetClock(VirtualClock):
    """Set by hand."""

    seconds = 0.0

    def steady(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


class Site:
    """One unit, the engine, and its transitions about the hub; stands in for the `AlertService`."""

    def __init__(self, metric: str = "laeq_1m") -> None:
        self.clock, self.told = SetClock(), list[Transition]()
        self.engine = Engine("UTC")
        rule = Rule.model_validate({"name": "limit", "metric": metric, "above": 65})
        self.engine.set_rules([rule, *system_rules("warning", ())], self.clock.now(), 0.0)
        config = NL43Config(id="gate", host="meter")
        link = FakeLink(self.clock)
        self.unit = Unit(config, self.clock, lambda event: None, linked(config, link, self.clock))
        self.engine.add_subject(unit_subject("gate"), {}, self.clock.now(), 0.0)
        self.sampler = UnitSampler("gate", self.engine.needs(unit_subject("gate"), 1.0).metrics)
        self.units = {"gate": self.unit}
        self.coverage = Coverage(self, self.clock, self.units, {"gate": self.sampler})

    def take(self, transitions: Iterable[Transition]) -> None:
        self.told += [transition for transition in transitions if transition.alert.metric == "ok"]

    def add_subject(self, subject: str, labels: Mapping[str, str]) -> None:
        self.take(self.engine.add_subject(subject, labels, self.clock.now(), self.clock.seconds))

    def remove_subject(self, subject: str) -> None:
        self.take(self.engine.remove_subject(subject, self.clock.now(), self.clock.seconds))

    def rule_inputs(self, subject: str, metrics: Collection[str]) -> list[RuleInput]:
        return self.engine.rule_inputs(subject, metrics, self.clock.seconds)

    def report(self, subject: str, ok: bool, reason: str | None = None) -> None:
        sample = Sample(subject, "ok", ok, self.clock.now(), self.clock.seconds, reason=reason)
        self.take(self.engine.observe(sample, self.clock.seconds))

    def play(self, seconds: int, every: int, lp: float | None = 80.0, cadence_s: float | None = None) -> None:
        """Time goes on, with a reading now and then, or a failed poll where `lp` is None."""
        for _ in range(seconds):
            self.clock.seconds += 1
            now, now_s = self.clock.now(), self.clock.seconds
            if now_s % every == 0:
                cadence = cadence_s or every
                event: Snapshot | PollFailure = Snapshot(
                    "gate", 1, now, now_s, NOTHING._replace(lp=lp), "Start", None, (), cadence
                )
                if lp is None:
                    event = PollFailure("gate", now, now_s, Failure.MUTE, False, cadence)
                for sample in self.sampler.samples(event):
                    self.take(self.engine.observe(sample, now_s))
            self.take(self.engine.tick(now, now_s))
            if now_s % 5 == 0:
                self.coverage.check()


def test_a_meter_that_answers_every_eight_seconds_cannot_fill_a_minute_and_it_is_said_once() -> None:
    site = Site()
    site.play(300, every=8)
    (onset,) = site.told
    assert (onset.alert.rule, onset.alert.subject) == ("low-coverage", "hub/rule/limit/gate")
    assert 60 < onset.alert.started_s <= 75  # type: ignore[operator]
    assert onset.alert.reason == (
        "Leq,1min has had no value for 1 min: 7 readings cover 93% of it, 10 and 75% are needed"
    )
    assert site.unit.uncovered_rules == ("limit",)
    site.play(90, every=1)
    assert [t.type for t in site.told] == ["alert.onset", "alert.clear"]
    assert not site.unit.uncovered_rules


def test_polls_that_are_lost_are_missed_too() -> None:
    site = Site()
    site.play(300, every=4, cadence_s=1.0)
    (onset,) = site.told
    assert "readings cover 3" in str(onset.alert.reason)


@pytest.mark.parametrize("every", [1, 2, 5, 6])
def test_nothing_is_said_where_windows_fill(every: int) -> None:
    site = Site()
    site.play(300, every=every)
    assert (site.told, site.unit.uncovered_rules) == ([], ())


def test_a_long_window_may_take_its_time_to_fill() -> None:
    site = Site("laeq_15m")
    site.play(900, every=1)
    assert site.told == []


def test_a_unit_that_is_away_is_another_matter() -> None:
    site = Site()
    site.play(120, every=1)
    site.play(600, every=1, lp=None)
    site.play(30, every=1)
    assert site.told == []


def test_a_rule_that_is_gone_is_no_longer_said_to_see_nothing() -> None:
    site = Site()
    site.play(120, every=8)
    site.take(site.engine.set_rules(system_rules("warning", ()), site.clock.now(), site.clock.seconds))
    site.coverage.check()
    assert [t.type for t in site.told] == ["alert.onset", "alert.clear"]
    assert not site.unit.uncovered_rules


def test_a_unit_that_is_gone_is_no_longer_said_to_be_unseen() -> None:
    site = Site()
    site.play(120, every=8)
    site.units.clear()
    site.remove_subject(unit_subject("gate"))
    site.coverage.check()
    site.coverage.check()
    assert [t.type for t in site.told] == ["alert.onset", "alert.clear"]


def test_a_restart_goes_on_with_what_was_said() -> None:
    before, after = Site(), Site()
    before.play(120, every=8)
    after.coverage.check()
    assert after.engine.restore([before.told[0].alert], after.clock.now(), 0.0) == []
    after.play(200, every=8)
    assert after.told == []
    assert after.unit.uncovered_rules == ("limit",)
    after.play(90, every=1)
    assert [t.type for t in after.told] == ["alert.clear"]
