"""Plays samples and ticks to an engine: seconds since a beginning in, `(second, type)` out."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.config.rule import Rule
from alerts.model.alert import Alert, State, Transition
from alerts.model.sample import Quality, Sample, Value, WindowBasis
from alerts.rules.engine import Engine

BEGIN = datetime(2026, 3, 18, 22, 0, tzinfo=UTC)  # a Wednesday, before the clocks change
BEGIN_S = BEGIN.timestamp()


def make_rule(**fields: Any) -> Rule:
    """A rule on `lp` named `r`, unless the fields say otherwise."""
    return Rule.model_validate({"name": "r", "metric": "lp", **fields})


class Play:
    """An engine with subjects, and the transitions it has given."""

    def __init__(self, *rules: Rule, subjects: Sequence[str] = ("unit/a",), timezone: str = "UTC") -> None:
        self.engine = Engine(timezone)
        self.seen: list[Transition] = []
        self.engine.set_rules(rules, BEGIN, BEGIN_S)
        for subject in subjects:
            self.engine.add_subject(subject, {}, BEGIN, BEGIN_S)

    def sample(
        self,
        second: float,
        value: Value,
        quality: Quality = Quality.OK,
        *,
        subject: str = "unit/a",
        metric: str = "lp",
        reason: str | None = None,
        cadence_s: float = 1.0,
        window: WindowBasis | None = None,
    ) -> list[str]:
        """One sample; the types of the transitions it caused, without `alert.`."""
        at = BEGIN + timedelta(seconds=second)
        sample = Sample(subject, metric, value, at, BEGIN_S + second, quality, reason, cadence_s, 0.0, window)
        return self.note(self.engine.observe(sample, BEGIN_S + second))

    def samples(
        self, seconds: Sequence[float], value: Value, quality: Quality = Quality.OK
    ) -> list[tuple[float, str]]:
        """The same sample at each of these seconds; when what happened."""
        return [(second, kind) for second in seconds for kind in self.sample(second, value, quality)]

    def tick(self, second: float) -> list[str]:
        """Time passes."""
        return self.note(self.engine.tick(BEGIN + timedelta(seconds=second), BEGIN_S + second))

    def ticks(self, seconds: Sequence[float]) -> list[tuple[float, str]]:
        """Time passes, second by second; when what happened."""
        return [(second, kind) for second in seconds for kind in self.tick(second)]

    def note(self, transitions: Sequence[Transition]) -> list[str]:
        """Keep them; their types, without `alert.`."""
        self.seen += transitions
        return [transition.type.removeprefix("alert.") for transition in transitions]

    def last(self) -> Alert:
        """The alert of the last transition."""
        return self.seen[-1].alert

    def state(self) -> State:
        """The most urgent state of the first rule."""
        return self.engine.rule_status()[0].state


def at(second: float) -> tuple[datetime, float]:
    """The wall clock and the steady clock at a second of the play."""
    return BEGIN + timedelta(seconds=second), BEGIN_S + second
