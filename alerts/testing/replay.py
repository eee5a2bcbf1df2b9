"""Evaluates one rule on past samples of one subject."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from alerts.config.rule import Rule
from alerts.model.alert import Transition
from alerts.model.sample import Sample
from alerts.rules.engine import Engine


def replay(
    rule: Rule,
    subject: str,
    labels: Mapping[str, str],
    timezone: str,
    samples: Iterable[Sample],
    from_at: datetime,
    to_at: datetime,
) -> list[Transition]:
    """The transitions, oldest first. The steady clock is the wall clock in epoch seconds.

    Time passes second by second up to `to_at`, after the last sample too. `timezone` is for a schedule without one.
    """
    engine, began_s, second = Engine(timezone), from_at.timestamp(), 0
    engine.set_rules([rule], from_at, began_s)
    engine.add_subject(subject, labels, from_at, began_s)
    found: list[Transition] = []

    def pass_time(until_s: float) -> None:
        nonlocal second
        while began_s + second + 1 <= until_s:
            second += 1
            found.extend(engine.tick(from_at + timedelta(seconds=second), began_s + second))

    for sample in samples:
        pass_time(sample.time)
        found += engine.observe(sample, sample.time)
    pass_time(to_at.timestamp())
    return found
