"""The past of a unit that is no sound level meter: its quantities, reading by reading or by steps."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from alerts.model.metrics import Metric
from hub.store.epoch import epoch
from hub.store.quantity_key import key_of
from hub.store.quantity_minutes import QuantitySum, mean_of
from hub.store.tables import QuantityMinute, StoredReading

_readings: sa.Table = StoredReading.__table__  # type: ignore[attr-defined]
_minutes: sa.Table = QuantityMinute.__table__  # type: ignore[attr-defined]

_DIGITS = 6  # of a mean whose quantity says nothing of them
_COVER = ("count", "coverage")


def step_columns(quantities: Mapping[str, Metric]) -> list[str]:
    """The columns of a step: mean, minimum and maximum of each quantity, or its last value where it has no mean."""
    found = []
    for name, metric in quantities.items():
        found += [f"{name}_last"] if metric.mean is None else [f"{name}_mean", f"{name}_min", f"{name}_max"]
    return [*found, *_COVER]


def step_names(quantities: Mapping[str, Metric], metrics: Sequence[str] | None) -> list[str]:
    """The columns asked for; the name of a quantity asks for all of its own. Unknown ones are left as they are."""
    if metrics is None:
        return step_columns(quantities)
    found: list[str] = []
    for name in metrics:
        found += step_columns({name: quantities[name]})[: -len(_COVER)] if name in quantities else [name]
    return list(dict.fromkeys(found))


def read_steps(
    session: Session,
    unit_id: str,
    quantities: Mapping[str, Metric],
    start_s: int,
    stop_s: int,
    step_s: int,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """One item per step that has readings, in order of time, with these columns; times are epoch seconds."""
    read = _of_readings if step_s % 60 else _of_minutes
    steps = read(session, unit_id, quantities, _time(start_s), _time(stop_s), step_s)
    return [
        {"at": _time(number * step_s), **_shown(steps[number], quantities, step_s, names)}
        for number in sorted(steps)
    ]


_Steps = dict[int, dict[str, QuantitySum]]
"""By the number of the step since 1970, and by quantity."""


def _of_readings(
    session: Session,
    unit_id: str,
    quantities: Mapping[str, Metric],
    from_at: datetime,
    to_at: datetime,
    step_s: int,
) -> _Steps:
    columns = (_readings.c.at, _readings.c.quantities, _readings.c.cadence_s, _readings.c.covered_s)
    rows = session.execute(
        sa.select(*columns)
        .where(_readings.c.unit_id == unit_id, _readings.c.at >= from_at, _readings.c.at < to_at)
        .where(_readings.c.quantities.is_not(sa.null()))
        .order_by(_readings.c.at, _readings.c.sequence)
    )
    steps: _Steps = {}
    for at, values, cadence_s, covered_s in rows:
        step = steps.setdefault(int(at.timestamp()) // step_s, {})
        for name, metric in quantities.items():
            if name not in step:
                step[name] = QuantitySum(metric.mean)
            step[name].add(values.get(key_of(metric)), cadence_s, covered_s)
    return steps


def _of_minutes(
    session: Session,
    unit_id: str,
    quantities: Mapping[str, Metric],
    from_at: datetime,
    to_at: datetime,
    step_s: int,
) -> _Steps:
    minute, names = _minutes.c, {key_of(metric): name for name, metric in quantities.items()}
    bucket = epoch(session, minute.at).op("/")(sa.literal_column(str(step_s))).label("bucket")
    here = sa.and_(
        minute.unit_id == unit_id, minute.at >= from_at, minute.at < to_at, minute.quantity.in_(list(names))
    )
    rows = session.execute(
        sa.select(
            bucket,
            minute.quantity,
            sa.func.sum(minute.total),
            sa.func.sum(minute.weight_s),
            sa.func.min(minute.min),
            sa.func.max(minute.max),
            sa.func.sum(minute.count),
            sa.func.sum(minute.coverage) * 60.0,
        )
        .where(here)
        .group_by(bucket, minute.quantity)
    ).all()
    steps: _Steps = {}
    for number, key, total, weight_s, least, most, count, covered_s in rows:
        averaging = quantities[names[key]].mean
        one = QuantitySum(averaging, total, weight_s, least, most, None, int(count), covered_s)
        steps.setdefault(number, {})[names[key]] = one
    without_mean = [key_of(metric) for metric in quantities.values() if metric.mean is None]
    for number, key, last in _last_values(session, bucket, sa.and_(here, minute.quantity.in_(without_mean))):
        steps[number][names[key]].last = last
    return steps


def _last_values(
    session: Session, bucket: sa.Label[Any], here: sa.ColumnElement[bool]
) -> Iterable[tuple[int, str, float]]:
    """The last value of each quantity, by its key, within each step."""
    minute = _minutes.c
    newest = (
        sa.select(bucket, minute.unit_id, minute.quantity, sa.func.max(minute.at).label("at"))
        .where(here, minute.last.is_not(None))
        .group_by(bucket, minute.unit_id, minute.quantity)
        .subquery()
    )
    is_newest = sa.and_(
        minute.unit_id == newest.c.unit_id, minute.at == newest.c.at, minute.quantity == newest.c.quantity
    )
    rows = session.execute(sa.select(newest.c.bucket, minute.quantity, minute.last).join(newest, is_newest))
    return [(number, key, last) for number, key, last in rows]


def _shown(
    step: Mapping[str, QuantitySum], quantities: Mapping[str, Metric], step_s: int, names: Sequence[str]
) -> dict[str, Any]:
    values: dict[str, Any] = {
        "count": max(one.count for one in step.values()),
        "coverage": round(min(1.0, max(one.covered_s for one in step.values()) / step_s), 4),
    }
    for name, metric in quantities.items():
        one = step.get(name) or QuantitySum(metric.mean)
        mean = mean_of(metric.mean, one.total, one.weight_s)
        digits = _DIGITS if metric.decimals is None else metric.decimals + 2
        values |= {
            f"{name}_mean": None if mean is None else round(mean, digits),
            f"{name}_min": one.min,
            f"{name}_max": one.max,
            f"{name}_last": one.last,
        }
    return {name: values[name] for name in names}


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
