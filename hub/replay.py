"""`hub rules replay`: what a rule would have done on stored history, and why."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlmodel import Session

from alerts.alert import Transition
from alerts.engine import Engine
from alerts.rule import LEVELS
from alerts.summary import summarize
from hub.clock import rfc3339
from hub.config import Config, UnitConfig
from hub.samples import UnitSampler, unit_subject
from hub.store.database import open_database
from hub.store.resume import readings_between

_PAGE = 5_000


class ReplayError(Exception):
    """The rule cannot be replayed; the message says why and what to do."""


async def replay_rule(config: Config, name: str, from_at: datetime, to_at: datetime) -> list[str]:
    """One line per transition, oldest first, and a last line that sums up. Raises ReplayError, DBAPIError."""
    rule = next((rule for rule in config.alerts.rules if rule.name == name), None)
    if rule is None:
        known = ", ".join(rule.name for rule in config.alerts.rules) or "none"
        raise ReplayError(f"there is no rule {name!r}; configured: {known}")
    if rule.metric not in LEVELS:
        raise ReplayError(f"{name} is about {rule.metric}; only levels are stored reading by reading")
    lines: list[str] = []
    readings = units = 0
    async with open_database(config.database.url.get_secret_value(), exclusive=False) as database:
        for unit in config.units:
            engine = Engine(config.hub.timezone)
            engine.set_rules([rule], from_at, from_at.timestamp())
            engine.add_subject(unit_subject(unit.id), unit.labels, from_at, from_at.timestamp())
            if not engine.rules_of(unit_subject(unit.id)):
                continue
            units += 1
            count, found = await database.read(
                lambda session, u=unit, e=engine: _replay_unit(session, u, e, from_at, to_at)  # type: ignore[misc]
            )
            readings += count
            lines += [f"{rfc3339(t.at)}  {t.type:<14} {summarize(t, rule)}" for t in found]
    lines.sort()
    return [*lines, f"{len(lines)} transitions in {readings} readings of {units} units"]


def _replay_unit(
    session: Session, unit: UnitConfig, engine: Engine, from_at: datetime, to_at: datetime
) -> tuple[int, list[Transition]]:
    count = 0
    found: list[Transition] = []
    for transitions in _play(session, unit, engine, from_at, to_at):
        count += 1
        found += transitions
    return count, found


def _play(
    session: Session, unit: UnitConfig, engine: Engine, from_at: datetime, to_at: datetime
) -> Iterator[list[Transition]]:
    """The transitions of each stored reading; between readings time passes second by second."""
    subject = unit_subject(unit.id)
    sampler = UnitSampler(unit.id, engine.metrics_of(subject))
    clock = from_at.timestamp()
    for snapshot in readings_between(session, unit.id, from_at, to_at, _PAGE):
        transitions: list[Transition] = []
        while clock + 1.0 <= snapshot.time:
            clock += 1.0
            at = from_at + timedelta(seconds=clock - from_at.timestamp())
            transitions += engine.tick(at, clock)
        for sample in sampler.samples(snapshot):
            transitions += engine.observe(sample, sample.time)
        yield transitions
