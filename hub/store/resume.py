"""Readings given back as snapshots: after a sequence number, the latest of each unit, and what windows need."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from hub.readings.reading import AnyReading, QuantityReading, Reading
from hub.readings.snapshot import FRAME_LEVELS, Snapshot
from hub.readings.windows import LpReading
from hub.store.quantity_key import metric_of_key
from hub.store.tables import SEQUENCES_PER_BOOT, StoredReading, StoredSnapshot

_LOOK_BACK = (timedelta(hours=1), timedelta(hours=24), None)

_readings: sa.Table = StoredReading.__table__  # type: ignore[attr-defined]
_snapshots: sa.Table = StoredSnapshot.__table__  # type: ignore[attr-defined]
_COLUMNS = (
    "unit_id", "sequence", "at", "run_state", "run_started_at", "quality", "cadence_s", "over", "under",
    "raw_payload", "quantities", *FRAME_LEVELS,
)  # fmt: skip


def readings_after(session: Session, unit_id: str, sequence: int, limit: int) -> list[Snapshot]:
    """The first `limit` readings of a unit above a sequence number, in its order.

    Rows are kept by time, so the last hour is looked at first, then the last day, then all: a wall clock that
    stepped, or a reading not in the database, leaves a hole in the numbers, and then a wider look is taken.
    """
    last_seen = _last_seen(session, unit_id)
    if last_seen is None or last_seen.sequence <= sequence:
        return []
    query = sa.select(*(_readings.c[name] for name in _COLUMNS)).where(
        _readings.c.unit_id == unit_id, _readings.c.sequence >= sequence
    )
    found: list[Snapshot] = []
    for look_back in _LOOK_BACK:
        here = query if look_back is None else query.where(_readings.c.at >= last_seen.at - look_back)
        rows = session.execute(here.order_by(_readings.c.sequence).limit(limit + 1))
        found = [_snapshot(row) for row in rows]
        if _is_unbroken(sequence, [snapshot.sequence for snapshot in found]):
            break
    return [snapshot for snapshot in found if snapshot.sequence > sequence][:limit]


def readings_between(
    session: Session, unit_id: str, from_at: datetime, to_at: datetime, page: int
) -> Iterator[Snapshot]:
    """Every reading of a unit with `from_at <= at < to_at` in order of time, read `page` rows at a time."""
    at, sequence = _readings.c.at, _readings.c.sequence
    query = (
        sa.select(*(_readings.c[name] for name in _COLUMNS))
        .where(_readings.c.unit_id == unit_id, at < to_at)
        .order_by(at, sequence)
        .limit(page)
    )
    rows = session.execute(query.where(at >= from_at)).all()
    while rows:
        yield from map(_snapshot, rows)
        last = rows[-1]
        after = sa.and_(at >= last.at, sa.or_(at > last.at, sequence > last.sequence))
        rows = session.execute(query.where(after)).all()


def latest_snapshots(session: Session) -> dict[str, Snapshot]:
    """The last stored reading of every unit, to show from the start after a restart."""
    rows = session.execute(sa.select(*(_snapshots.c[name] for name in _COLUMNS)))
    return {row.unit_id: _snapshot(row) for row in rows}


def recent_lp(session: Session, unit_id: str, since: datetime) -> list[LpReading]:
    """Every Lp of a unit from `since` on, or that it was out of range, in order of time, to fill windows again.

    Times are epoch seconds.
    """
    at = _readings.c.at
    if session.get_bind().dialect.name == "sqlite":
        time: sa.ColumnElement[Any] = (sa.func.julianday(at) - 2440587.5) * 86400.0
    else:
        time = sa.cast(sa.extract("epoch", at), sa.Float)
    rows = session.execute(
        sa.select(_readings.c.lp, time, _readings.c.cadence_s, _readings.c.under, _readings.c.over)
        .where(
            _readings.c.unit_id == unit_id,
            at >= since,
            sa.or_(_readings.c.lp.is_not(None), _readings.c.under.is_(sa.true()), _readings.c.over.is_(sa.true())),
        )
        .order_by(at, _readings.c.sequence)
    )
    return [LpReading(lp, time, cadence_s, bool(under), bool(over)) for lp, time, cadence_s, under, over in rows]


def _last_seen(session: Session, unit_id: str) -> Any:
    """Time and sequence number of the last reading: as noted once a second, or by time."""
    noted = session.execute(
        sa.select(_snapshots.c.at, _snapshots.c.sequence).where(_snapshots.c.unit_id == unit_id)
    ).one_or_none()
    newest = session.execute(
        sa.select(_readings.c.at, _readings.c.sequence)
        .where(_readings.c.unit_id == unit_id)
        .order_by(_readings.c.at.desc(), _readings.c.sequence.desc())
        .limit(1)
    ).one_or_none()
    return max((row for row in (noted, newest) if row is not None), key=lambda row: row.sequence, default=None)


def _is_unbroken(after: int, found: list[int]) -> bool:
    """True where nothing is missing after `after`: numbers rise by one, or start afresh with a boot."""
    return (
        bool(found)
        and found[0] in (after, after + 1)
        and all(later == earlier + 1 or later % SEQUENCES_PER_BOOT == 1 for earlier, later in pairwise(found))
    )


def _reading(row: Any) -> AnyReading:
    raw = row.raw_payload or ""
    if row.quantities is not None:
        metrics = {key: metric_of_key(key) for key in row.quantities}
        values = {metrics[key].name: value for key, value in row.quantities.items()}
        return QuantityReading(values, {one.name: one for one in metrics.values()}, raw, row.over, row.under)
    levels = {name: getattr(row, name) for name in FRAME_LEVELS}
    return Reading(**levels, lieq=None, leq_mov=None, ltm5=None, over=row.over, under=row.under, raw=raw)


def _snapshot(row: Any) -> Snapshot:
    return Snapshot(
        unit_id=row.unit_id,
        sequence=row.sequence,
        at=row.at,
        time=row.at.timestamp(),
        reading=_reading(row),
        run_state=row.run_state,
        run_started_at=row.run_started_at,
        quality=tuple(row.quality.split(",")) if row.quality else (),
        cadence_s=row.cadence_s,
    )
