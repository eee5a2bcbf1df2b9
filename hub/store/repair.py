"""What a crash may have left behind the readings: latest snapshots and minutes, made again from them at start."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from json import dumps
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from alerts.model.metrics import Metric
from hub.store.batch import Batch, Minutes, MinuteSum, sqlite_time
from hub.store.insert import MEASURED_COLUMNS, write_batch
from hub.store.quantity_key import by_key
from hub.store.quantity_minutes import add_reading
from hub.store.tables import Minute, QuantityMinute, StoredReading, StoredSnapshot

_readings: sa.Table = StoredReading.__table__  # type: ignore[attr-defined]
_snapshots: sa.Table = StoredSnapshot.__table__  # type: ignore[attr-defined]
_minutes: sa.Table = Minute.__table__  # type: ignore[attr-defined]
_quantity_minutes: sa.Table = QuantityMinute.__table__  # type: ignore[attr-defined]

Quantities = Mapping[str, Mapping[str, Metric]]
"""By unit and name."""

_UNKNOWN: Quantities = {}
_BEHIND = timedelta(seconds=60)  # readings are written at once, minutes at most 10 s later


def repair(session: Session, quantities: Quantities = _UNKNOWN) -> None:
    """Make the latest snapshot and the last two minutes of every unit from its readings.

    `quantities` of each unit by its id say how they are averaged. Only units read within a minute of the last
    reading of all can be behind.
    """
    newest = session.execute(sa.select(sa.func.max(_snapshots.c.at))).scalar()
    if newest is None:
        return
    since = (newest - _BEHIND).replace(second=0, microsecond=0)
    batch = Batch()
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    for unit_id in session.execute(sa.select(_snapshots.c.unit_id)).scalars().all():
        _repair_unit(session, unit_id, since, batch, is_sqlite, by_key(quantities.get(unit_id, {})))
    if batch.snapshots:
        for minutes in (_minutes, _quantity_minutes):
            session.execute(sa.delete(minutes).where(minutes.c.at >= since))
        write_batch(session, batch)


def _repair_unit(
    session: Session, unit_id: str, since: datetime, batch: Batch, is_sqlite: bool, metrics: Mapping[str, Metric]
) -> None:
    rows = session.execute(
        sa.select(*(_readings.c[name] for name in MEASURED_COLUMNS))
        .where(_readings.c.unit_id == unit_id, _readings.c.at >= since)
        .order_by(_readings.c.sequence)
    ).all()
    sums: Minutes = batch.minutes
    for row in rows:
        if row.quantities is not None:
            add_reading(
                batch.quantity_minutes, unit_id, row.at, row.quantities, metrics, row.cadence_s, row.covered_s
            )
            continue
        key = (unit_id, row.at.replace(second=0, microsecond=0))
        sums.setdefault(key, MinuteSum()).add(row.lp, row.cadence_s, row.covered_s)
    if rows:
        batch.snapshots[unit_id] = tuple(_written(value, is_sqlite) for value in rows[-1])


def _written(value: Any, is_sqlite: bool) -> Any:
    """A value that was read, as the driver takes it."""
    if isinstance(value, dict):
        return dumps(value)
    return sqlite_time(value) if is_sqlite and isinstance(value, datetime) else value
