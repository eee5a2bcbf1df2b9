"""The past of a unit: raw readings or steps, page by page."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from math import log10
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from alerts.model.metrics import Metric
from alerts.store.page import Page, decode_cursor, encode_cursor
from hub.readings.snapshot import FRAME_LEVELS
from hub.store.epoch import epoch
from hub.store.quantity_history import read_steps as read_quantity_steps
from hub.store.quantity_history import step_columns, step_names
from hub.store.quantity_key import key_of
from hub.store.tables import Minute, QuantityMinute, StoredReading

_SHOWN = 40
_SHOWN_NAMES = 3
Item = dict[str, Any]
ReadSteps = Callable[..., list[Item]]
LEVELS_ONLY: Mapping[str, Metric] = {}
STEP_METRICS = ("lp_max", "lp_min", "leq_lp", "count", "coverage")

_readings: sa.Table = StoredReading.__table__  # type: ignore[attr-defined]
_minutes: sa.Table = Minute.__table__  # type: ignore[attr-defined]
_quantity_minutes: sa.Table = QuantityMinute.__table__  # type: ignore[attr-defined]


def history(
    session: Session,
    unit_id: str,
    from_at: datetime,
    to_at: datetime,
    *,
    step_s: float | None = None,
    metrics: Sequence[str] | None = None,
    quantities: Mapping[str, Metric] = LEVELS_ONLY,
    limit: int = 1000,
    cursor: str | None = None,
) -> Page[Item]:
    """The readings of a unit with `from_at <= at < to_at`, or with `step_s` their mean and extremes per step.

    `quantities` are the unit's own; without any it is a sound level meter.
    Steps begin at whole multiples of `step_s` since 1970 UTC, and are whole: the first and the last reach beyond
    `from_at` and `to_at`. A step without readings is left out. Raises ValueError with what to ask for instead.
    """
    if from_at.tzinfo is None or to_at.tzinfo is None:
        raise ValueError("from: from and to need an offset or Z")
    if limit < 1:
        raise ValueError("limit: must be 1 or more")
    names = _names(step_s, metrics, quantities)
    if step_s is None:
        return _raw(session, unit_id, from_at, to_at, names, quantities, limit, cursor)
    step = whole_step(step_s)
    if quantities:
        table = _readings if step % 60 else _quantity_minutes
        read = partial(read_quantity_steps, session, unit_id, quantities, step_s=step, names=names)
    else:
        table = _readings if step % 60 else _minutes
        read = partial(_read_steps, session, table, unit_id, step_s=step, names=names)
    return _steps(session, table, unit_id, from_at, to_at, step, read, limit, cursor)


def columns(
    step_s: float | None, metrics: Sequence[str] | None, quantities: Mapping[str, Metric] = LEVELS_ONLY
) -> list[str]:
    """The keys of the items that `history` gives. Raises ValueError as it does."""
    names = _names(step_s, metrics, quantities)
    return ["at", *names] if step_s is not None else ["at", "sequence", *names, "measurement_state", "quality"]


def _names(step_s: float | None, metrics: Sequence[str] | None, quantities: Mapping[str, Metric]) -> Sequence[str]:
    """The columns of values."""
    if step_s is None:
        return _known(metrics, list(quantities) or FRAME_LEVELS, "without step")
    if quantities:
        wanted = None if metrics is None else step_names(quantities, metrics)
        return _known(wanted, step_columns(quantities), "with step")
    return _step_names(metrics)


def _step_names(metrics: Sequence[str] | None) -> Sequence[str]:
    names = _known(
        None if metrics is None else [name for name in metrics if name != "lp"], STEP_METRICS, "with step"
    )
    return STEP_METRICS if "lp" in (metrics or ()) else names


def whole_step(step_s: float) -> int:
    """A step in seconds as `history` takes it. Raises ValueError."""
    if step_s < 1 or step_s % 1:
        raise ValueError("step: must be a whole number of seconds, 1s or more")
    return int(step_s)


def _known(metrics: Sequence[str] | None, known: Sequence[str], where: str) -> Sequence[str]:
    """The metrics asked for, each once; all without a wish. Raises ValueError for one that does not exist."""
    unknown = sorted(set(metrics or ()) - set(known))
    if unknown:
        named = ", ".join(name[:_SHOWN] for name in unknown[:_SHOWN_NAMES])
        more = f" and {len(unknown) - _SHOWN_NAMES} more" if len(unknown) > _SHOWN_NAMES else ""
        raise ValueError(f"metrics: there is no {named}{more} {where}; ask for {', '.join(known)}")
    return known if metrics is None else list(dict.fromkeys(metrics))


def _raw(
    session: Session, unit_id: str, from_at: datetime, to_at: datetime,
    names: Sequence[str], quantities: Mapping[str, Metric], limit: int, cursor: str | None,
) -> Page[Item]:  # fmt: skip
    at, sequence = _readings.c.at, _readings.c.sequence
    values = [_readings.c.quantities] if quantities else [_readings.c[name] for name in names]
    query = (
        sa.select(at, sequence, *values, _readings.c.run_state, _readings.c.quality)
        .where(_readings.c.unit_id == unit_id, at >= from_at, at < to_at)
        .order_by(at, sequence)
        .limit(limit + 1)
    )
    if cursor is not None:
        last_at, last_sequence = decode_cursor(cursor, _row_number)
        query = query.where(at >= last_at, sa.or_(at > last_at, sequence > last_sequence))
    rows = session.execute(query).all()
    items = [
        {
            "at": row[0],
            "sequence": row[1],
            **_values(row[2:-2], names, quantities),
            "measurement_state": row[-2],
            "quality": row[-1].split(",") if row[-1] else [],
        }
        for row in rows[:limit]
    ]
    more = len(rows) > limit
    return Page(items, encode_cursor(items[-1]["at"], items[-1]["sequence"]) if more else None)


def _values(found: Sequence[Any], names: Sequence[str], quantities: Mapping[str, Metric]) -> dict[str, Any]:
    if not quantities:
        return dict(zip(names, found, strict=True))
    values = found[0] or {}
    return {name: values.get(key_of(quantities[name])) for name in names}


def _steps(
    session: Session, table: sa.Table, unit_id: str, from_at: datetime, to_at: datetime,
    step_s: int, read: ReadSteps, limit: int, cursor: str | None,
) -> Page[Item]:  # fmt: skip
    start_s = int(from_at.timestamp()) // step_s * step_s
    end_s = -(-int(to_at.timestamp() + 0.999999) // step_s) * step_s
    if cursor is not None:
        start_s = min(max(start_s, decode_cursor(cursor, _row_number)[1] // step_s * step_s), end_s)
    items: list[dict[str, Any]] = []
    while True:
        # Gaps are jumped over, so a page reads no more than `limit` steps at a time, however wide the range.
        found = session.execute(
            sa.select(table.c.at)
            .where(table.c.unit_id == unit_id, table.c.at >= _time(start_s), table.c.at < _time(end_s))
            .order_by(table.c.at)
            .limit(1)
        ).scalar_one_or_none()
        if found is None:
            return Page(items, None)
        start_s = int(found.timestamp()) // step_s * step_s
        if len(items) >= limit:
            return Page(items, encode_cursor(_time(start_s), start_s))
        stop_s = min(end_s, start_s + (limit - len(items)) * step_s)
        items += read(start_s=start_s, stop_s=stop_s)
        start_s = stop_s


def _read_steps(
    session: Session, table: sa.Table, unit_id: str, start_s: int, stop_s: int, step_s: int, names: Sequence[str]
) -> list[dict[str, Any]]:
    bucket = epoch(session, table.c.at).op("/")(sa.literal_column(str(step_s))).label("bucket")
    sums: list[sa.ColumnElement[Any]]
    if table is _minutes:
        minute = table.c
        sums = [
            sa.func.max(minute.lp_max),
            sa.func.min(minute.lp_min),
            sa.func.sum(minute.energy),
            sa.func.sum(minute.weight_s),
            sa.func.sum(minute.count),
            sa.func.sum(minute.coverage) * 60.0,
        ]
    else:
        reading = table.c
        counted_s = sa.case((reading.covered_s < reading.cadence_s, reading.covered_s), else_=reading.cadence_s)
        sums = [
            sa.func.max(reading.lp),
            sa.func.min(reading.lp),
            sa.func.sum(counted_s * sa.func.power(10.0, reading.lp / 10.0)),
            sa.func.sum(sa.case((reading.lp.is_not(None), counted_s))),
            sa.func.count(),
            sa.func.sum(reading.covered_s),
        ]
    rows = session.execute(
        sa.select(bucket, *sums)
        .where(table.c.unit_id == unit_id, table.c.at >= _time(start_s), table.c.at < _time(stop_s))
        .group_by(bucket)
        .order_by(bucket)
    )
    items = []
    for number, lp_max, lp_min, energy_sum, weight_s, count, covered_s in rows:
        values = {
            "lp_max": lp_max,
            "lp_min": lp_min,
            "leq_lp": round(10 * log10(energy_sum / weight_s), 3) if weight_s else None,
            "count": int(count),
            "coverage": round(min(1.0, covered_s / step_s), 4),
        }
        items.append({"at": _time(number * step_s), **{name: values[name] for name in names}})
    return items


def _row_number(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 63:
        raise ValueError("no database counts so far")
    return number


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
