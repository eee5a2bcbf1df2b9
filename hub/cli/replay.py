"""`hub rules replay`: evaluates a rule on stored history, and prints the transitions it would have caused."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial

from alerts.config.caption import Caption
from alerts.config.rule import Rule
from alerts.delivery.summary import summarize
from alerts.model.alert import Transition
from alerts.model.metrics import Metric, metric_of
from alerts.model.moments import rfc3339
from alerts.model.sample import Sample
from alerts.rules.matching import matcher_of
from alerts.testing.replay import replay
from hub.config.models import Config
from hub.database.database import open_database
from hub.fields.spelling import counted
from hub.instruments.unit_config import UnitConfig
from hub.kinds.registry import kind_of
from hub.readings.reading import is_of
from hub.readings.samples import UnitSampler, unit_subject
from hub.readings.snapshot import Snapshot
from hub.store.meter_settings import settings_at, settings_of
from hub.store.resume import readings_between

_PAGE = 5_000


class ReplayError(Exception):
    """The rule cannot be replayed; the message says why and what to do."""


async def replay_rule(config: Config, name: str, from_at: datetime, to_at: datetime) -> list[str]:
    """One line per transition, oldest first, and a last line with the totals. Raises ReplayError, DBAPIError.

    Time passes up to `to_at`, beyond the last reading, so `to_at` must not be in the future: the rule would see
    readings as missing that cannot exist yet.
    """
    rule = next((rule for rule in config.alerts.rules if rule.name == name), None)
    if rule is None:
        known = ", ".join(rule.name for rule in config.alerts.rules) or "none"
        raise ReplayError(f"there is no rule {name!r}; configured: {known}")
    metric = metric_of(rule.metric)
    if metric.of != "unit" or not metric.is_number:
        raise ReplayError(f"{name} is about {rule.metric}; only what units measure is stored reading by reading")
    lines: list[str] = []
    readings = units = 0
    matches = matcher_of(rule)
    async with open_database(config.database.url.get_secret_value(), exclusive=False) as database:
        for unit in config.units:
            kind = kind_of(unit)
            quantities = kind.quantities(unit)
            if rule.metric not in quantities or not matches(unit_subject(unit.id), unit.labels, {}):
                continue
            units += 1
            count, found = await database.read(
                lambda session, u=unit, q=quantities: _replay_unit(  # type: ignore[misc]
                    readings_between(session, u.id, from_at, to_at, _PAGE), rule, u, q, config, from_at, to_at
                )
            )
            readings += count
            rows = await database.read(partial(settings_of, unit_id=unit.id))
            for t in found:
                caption = Caption(unit.name, kind.symbols(unit, settings_at(rows, t.at)), quantities)
                lines.append(f"{rfc3339(t.at)}  {t.type:<14} {summarize(t, rule, caption)}")
    lines.sort()
    return [
        *lines,
        f"{counted(len(lines), 'transition')} in {counted(readings, 'reading')} of {counted(units, 'unit')}",
    ]


def _replay_unit(
    readings: Iterable[Snapshot],
    rule: Rule,
    unit: UnitConfig,
    quantities: Mapping[str, Metric],
    config: Config,
    from_at: datetime,
    to_at: datetime,
) -> tuple[int, list[Transition]]:
    """How many readings there were, and the transitions they cause."""
    count = 0

    def samples() -> Iterator[Sample]:
        nonlocal count
        sampler = UnitSampler(unit.id, frozenset({rule.metric}))
        for snapshot in readings:
            if not is_of(snapshot.reading, quantities):
                continue  # measured in another unit
            count += 1
            yield from sampler.samples(snapshot)

    found = replay(rule, unit_subject(unit.id), unit.labels, config.hub.timezone, samples(), from_at, to_at)
    return count, found
