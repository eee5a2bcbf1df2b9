"""Deletes what is older than it should be, a little at a time, and watches the space."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, NoReturn

import anyio
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from alerts.store.database import Database
from hub.database.errors import describe_error
from hub.runtime.clock import Clock
from hub.store.size import Space, database_space
from hub.store.tables import Minute, QuantityMinute, StoredMachineChange, StoredReading, StoredStateChange

log = structlog.get_logger()

DeleteOld = Callable[[Session, datetime, int], int]
"""(session, before, limit) -> how many rows went; called again until it says less than `limit`."""

_MIN_FREE = 1024**3
_READINGS: sa.Table = StoredReading.__table__  # type: ignore[attr-defined]
_MINUTES: sa.Table = Minute.__table__  # type: ignore[attr-defined]
_QUANTITY_MINUTES: sa.Table = QuantityMinute.__table__  # type: ignore[attr-defined]
_MACHINE_CHANGES: sa.Table = StoredMachineChange.__table__  # type: ignore[attr-defined]
_STATE_CHANGES: sa.Table = StoredStateChange.__table__  # type: ignore[attr-defined]


class Ages(NamedTuple):
    """How long rows are kept, seconds; changes of state and of machines are kept as long as minutes."""

    readings_s: float
    minutes_s: float
    alerts_s: float


class Retention:
    """Every `interval_s` deletes rows beyond their age in chunks with pauses, so that writers never wait long.

    `delete_alerts` does the same for alerts, which this package does not know. `on_space(reason)` hears when the
    database outgrows `max_size` bytes or its disk is nearly full, and with None when that is over.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ages: Ages,
        *,
        delete_alerts: DeleteOld | None = None,
        max_size: int | None = None,
        interval_s: float = 600.0,
        first_s: float = 60.0,
        chunk: int = 5_000,
        pause_s: float = 0.02,
        on_space: Callable[[str | None], None] = lambda reason: None,
    ) -> None:
        self.deleted = 0
        self._database = database
        self._clock = clock
        self._ages = ages
        self._delete_alerts = delete_alerts
        self._max_size = max_size
        self._interval_s = interval_s
        self._first_s = first_s
        self._chunk = chunk
        self._pause_s = pause_s
        self._on_space = on_space
        self._lack: str | None = None
        self._has_looked = False

    async def run(self) -> NoReturn:
        """Works until cancelled, from a minute after the start. What fails is tried again at the next round."""
        await anyio.sleep(self._first_s)
        while True:
            try:
                await self.check_space()
                await self.delete_old()
            except DBAPIError as error:
                log.warning("old rows not deleted", reason=describe_error(error))
            await anyio.sleep(self._interval_s)

    async def delete_old(self) -> None:
        """One round. Raises DBAPIError."""
        minutes_s = self._ages.minutes_s
        for table, age_s in (
            (_READINGS, self._ages.readings_s),
            (_MINUTES, minutes_s),
            (_QUANTITY_MINUTES, minutes_s),
            (_STATE_CHANGES, minutes_s),
        ):
            before = self._clock.now() - timedelta(seconds=age_s)
            for unit_id in await self._database.read(partial(units_with_old, before=before, table=table)):
                await self._in_chunks(partial(delete_rows, table=table, unit_id=unit_id), before)
        await self._in_chunks(delete_machine_changes, self._clock.now() - timedelta(seconds=minutes_s))
        if self._delete_alerts is not None:
            await self._in_chunks(self._delete_alerts, self._clock.now() - timedelta(seconds=self._ages.alerts_s))

    async def check_space(self) -> None:
        """Compares the space with what is allowed and left. Raises DBAPIError."""
        space = await self._database.read(database_space)
        reason = lack_of_space(space, self._max_size)
        if reason != self._lack or not self._has_looked:  # an earlier process may have told of a lack
            self._lack, self._has_looked = reason, True
            self._on_space(reason)

    async def _in_chunks(self, delete: DeleteOld, before: datetime) -> None:
        while True:
            gone = await self._database.write(lambda session: delete(session, before, self._chunk))
            self.deleted += gone
            await anyio.sleep(self._pause_s)
            if gone < self._chunk:
                return


def lack_of_space(space: Space, max_size: int | None) -> str | None:
    """Why there is too little space, or None. The figures are left out: a reason changes when the cause does."""
    if max_size is not None and space.used > max_size:
        return "the database is larger than database.max_size; shorten database.retention or raise the limit"
    if space.free is not None and space.free < _MIN_FREE:
        return "less than 1 GiB is free on the disk of the database"
    return None


def delete_rows(session: Session, before: datetime, limit: int, *, table: sa.Table, unit_id: str) -> int:
    """Deletes about `limit` rows of a unit, the oldest first; rows of one instant go together. Returns how many."""
    old = sa.and_(table.c.unit_id == unit_id, table.c.at < before)
    last = session.execute(
        sa.select(table.c.at).where(old).order_by(table.c.at).offset(limit - 1).limit(1)
    ).scalar()
    chunk = old if last is None else sa.and_(old, table.c.at <= last)
    result = session.execute(sa.delete(table).where(chunk))
    return int(result.rowcount)  # type: ignore[attr-defined]


def delete_machine_changes(session: Session, before: datetime, limit: int) -> int:
    """Deletes up to `limit` rows, but never the last one of a machine: that says what its status is."""
    rows, later = _MACHINE_CHANGES.c, _MACHINE_CHANGES.alias().c
    # Rows are written in order of time, so the first young one ends the search.
    young = session.execute(sa.select(rows.id).where(rows.at >= before).order_by(rows.id).limit(1)).scalar()
    has_later = sa.select(later.id).where(later.subject == rows.subject, later.id > rows.id).exists()
    old = sa.select(rows.id).where(rows.at < before, has_later).order_by(rows.id).limit(limit)
    if young is not None:
        old = old.where(rows.id < young)
    result = session.execute(sa.delete(_MACHINE_CHANGES).where(rows.id.in_(old)))
    return int(result.rowcount)  # type: ignore[attr-defined]


def units_with_old(session: Session, before: datetime, *, table: sa.Table) -> list[str]:
    """The units that have rows to delete, those no longer configured included: two seeks in the index for each.

    One statement: of many small ones each would get in the way of the event loop.
    """
    later = sa.alias(table)
    first = sa.select(sa.func.min(table.c.unit_id).label("id")).cte("units", recursive=True)
    following = sa.select(sa.func.min(later.c.unit_id)).where(later.c.unit_id > first.c.id).scalar_subquery()
    units = first.union_all(sa.select(following).where(first.c.id.is_not(None)))
    oldest = sa.select(sa.func.min(table.c.at)).where(table.c.unit_id == units.c.id).scalar_subquery()
    found = sa.select(units.c.id).where(units.c.id.is_not(None), oldest < before)
    return [str(unit_id) for unit_id in session.execute(found).scalars()]
