"""Writes a batch of rows in few statements: thousands of rows per second without holding up the event loop."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from math import log10
from typing import Any

from sqlmodel import Session

from alerts.store.statements import insert_values
from alerts.store.unstorable import Refused, write_apart
from hub.readings.snapshot import MachineChange
from hub.store import quantity_minutes
from hub.store.batch import Batch, Row, sqlite_time
from hub.store.tables import Measured

_Columns = tuple[str, ...]

MEASURED_COLUMNS = tuple(Measured.model_fields)
_CHANGE_COLUMNS = ("unit_id", "at", "what", "old", "new", "reason")
_MACHINE_CHANGE_COLUMNS = MachineChange._fields
_MINUTE_COLUMNS = (
    "unit_id", "at", "leq_lp", "lp_max", "lp_min", "count", "coverage", "energy", "weight_s", "covered_s",
)  # fmt: skip

_REPLACE_SNAPSHOT = "ON CONFLICT (unit_id) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in MEASURED_COLUMNS if name != "unit_id"
)
_ADD_MINUTE = """ON CONFLICT (unit_id, at) DO UPDATE SET
    leq_lp = CASE WHEN minutes.weight_s + excluded.weight_s > 0 THEN
        10 * log10((minutes.energy + excluded.energy) / (minutes.weight_s + excluded.weight_s)) END,
    lp_max = CASE WHEN excluded.lp_max IS NULL OR minutes.lp_max >= excluded.lp_max
        THEN minutes.lp_max ELSE excluded.lp_max END,
    lp_min = CASE WHEN excluded.lp_min IS NULL OR minutes.lp_min <= excluded.lp_min
        THEN minutes.lp_min ELSE excluded.lp_min END,
    count = minutes.count + excluded.count,
    coverage = CASE WHEN minutes.covered_s + excluded.covered_s >= 60 THEN 1.0
        ELSE (minutes.covered_s + excluded.covered_s) / 60.0 END,
    energy = minutes.energy + excluded.energy,
    weight_s = minutes.weight_s + excluded.weight_s,
    covered_s = minutes.covered_s + excluded.covered_s"""


def write_batch(session: Session, batch: Batch) -> None:
    """Adds the rows of a batch to the session's transaction. Raises DBAPIError or the driver's own errors."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    add = _insert if is_sqlite else _copy
    for table, columns, rows, conflict in _tables(batch, is_sqlite):
        add(session, table, columns, rows, conflict)


def write_batch_apart(session: Session, batch: Batch) -> list[Refused]:
    """Adds the rows of a batch but for those that no database takes, which it returns. Raises as `write_batch`."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    refused: list[Refused] = []
    for table, columns, rows, conflict in _tables(batch, is_sqlite):
        write = partial(_write_part, session, table, columns, conflict)
        for row, reason in write_apart(session, rows, write):
            refused.append(Refused(table, dict(zip(columns, row, strict=True)), reason))
    return refused


def _write_part(session: Session, table: str, columns: _Columns, conflict: str, rows: Sequence[Row]) -> None:
    if session.get_bind().dialect.name == "sqlite":
        _insert(session, table, columns, rows, conflict)
        return
    if conflict:  # the temporary table has the rows of the part before
        session.connection().exec_driver_sql(f"DROP TABLE IF EXISTS pg_temp.new_{table}")
    _copy(session, table, columns, rows, conflict)


def _tables(batch: Batch, is_sqlite: bool) -> Iterator[tuple[str, _Columns, list[Row], str]]:
    yield "readings", MEASURED_COLUMNS, batch.readings, ""
    yield "snapshots", MEASURED_COLUMNS, list(batch.snapshots.values()), _REPLACE_SNAPSHOT
    times = _starts(batch, is_sqlite)
    yield "minutes", _MINUTE_COLUMNS, _minute_rows(batch, times), _ADD_MINUTE
    yield "quantity_minutes", quantity_minutes.COLUMNS, _quantity_rows(batch, times), quantity_minutes.ADD
    yield "state_changes", _CHANGE_COLUMNS, batch.changes, ""
    yield "machine_status_changes", _MACHINE_CHANGE_COLUMNS, batch.machine_changes, ""


def _starts(batch: Batch, is_sqlite: bool) -> dict[datetime, Any]:
    """The starts of the minutes of a batch, as the driver wants them."""
    starts = {at for _, at in batch.minutes} | {at for _, at, _ in batch.quantity_minutes}
    return {at: sqlite_time(at) if is_sqlite else at for at in starts}


def _quantity_rows(batch: Batch, times: Mapping[datetime, Any]) -> list[Row]:
    return list(quantity_minutes.rows_of(batch.quantity_minutes, times))


def _minute_rows(batch: Batch, times: Mapping[datetime, Any]) -> list[Row]:
    return [
        (
            unit_id,
            times[at],
            10 * log10(minute.energy / minute.weight_s) if minute.weight_s and minute.energy > 0 else None,
            minute.lp_max,
            minute.lp_min,
            minute.count,
            min(1.0, minute.covered_s / 60.0),
            minute.energy,
            minute.weight_s,
            minute.covered_s,
        )
        for (unit_id, at), minute in sorted(batch.minutes.items())
    ]


def _insert(session: Session, table: str, columns: tuple[str, ...], rows: Sequence[Row], conflict: str) -> None:
    """SQLite: many rows per statement."""
    insert_values(session.connection(), table, columns, tuple(chain.from_iterable(rows)), conflict)


def _copy(session: Session, table: str, columns: tuple[str, ...], rows: Sequence[Row], conflict: str) -> None:
    """PostgreSQL: COPY, by way of a temporary table where rows may meet others."""
    if not rows:
        return
    names = ",".join(columns)
    driver: Any = session.connection().connection.driver_connection
    with driver.cursor() as cursor:
        target = f"new_{table}" if conflict else table
        if conflict:
            cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {target} (LIKE {table}) ON COMMIT DELETE ROWS")
        with cursor.copy(f"COPY {target} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        if conflict:
            cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {target} {conflict}")
