"""Runs short SQL transactions in worker threads: one writer at a time, and several readers.

- Only one thread writes at a time: everything that writes holds `_writing`.
- Durable writers go before the others (`Precedence`), and `write_in_turn` lets no other writer in between.
- The hub's own reads, people's queries and health checks have connections and threads of their own, so that none
  of them waits for another.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import structlog
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from alerts.store.database import Write
from alerts.store.unstorable import Refused
from hub.database.checkpoints import Checkpoints
from hub.database.checks import unreadable_parts
from hub.database.engines import OWN_READERS, Dialect, open_engines, sqlite_path
from hub.database.file import DatabaseFile
from hub.database.lane import Lane
from hub.database.lock import AdvisoryLock, DatabaseLock, FileLock
from hub.database.outcomes import Outcomes
from hub.database.part import PartDatabase
from hub.database.precedence import Precedence
from hub.database.quarantine import Quarantine, QuarantineFull
from hub.database.sessions import Sessions
from hub.database.transaction import run_raw

T = TypeVar("T")

log = structlog.get_logger()

_MAX_WAITING = 16  # people's queries
_LONGEST_WAIT_S = 5.0


class DatabaseNotUtf8(Exception):
    """The database is not encoded in UTF-8; the message says how to create one that is."""


class Database:
    """Runs functions of a Session, each in one transaction in a worker thread.

    A function returns rows and values that are usable without the session, no lazy relations. Database errors are
    raised as `sqlalchemy.exc.DBAPIError`; `describe_error` names them. A started transaction runs to its end even
    when the caller is cancelled meanwhile, so functions must be short.
    """

    def __init__(self, sessions: Sessions, queries: int, quarantine: Quarantine) -> None:
        self.sessions = sessions
        self.quarantine = quarantine
        self.outcomes = Outcomes()
        self.checkpoints = Checkpoints(self.run_raw, self.outcomes)
        self.lane = Lane(queries, _MAX_WAITING, _LONGEST_WAIT_S)
        self._querying = anyio.CapacityLimiter(queries)
        self._reading = anyio.CapacityLimiter(OWN_READERS)
        self._checking = anyio.CapacityLimiter(1)
        self._writing = anyio.CapacityLimiter(1)
        self._other = anyio.CapacityLimiter(1)
        self._precedence = Precedence()

    @property
    def dialect(self) -> Dialect:
        """`sqlite` or `postgresql`."""
        return "sqlite" if self.sessions.engines.writer.dialect.name == "sqlite" else "postgresql"

    @property
    def file(self) -> DatabaseFile | None:
        """The file of a SQLite database that this process has locked; else None."""
        return self.sessions.file

    def of(self, part: str) -> PartDatabase:
        """The database for one part of the storage, which records the failures of that part."""
        return PartDatabase(self, self.outcomes, part)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run `work` on a read-only snapshot. Raises DBAPIError, `too slow` for a statement beyond the deadline."""
        return await self._read(self.sessions.engines.readers, work, self._reading)

    async def query(self, work: Callable[[Session], T], *, continues: bool = False) -> T:
        """Like `read`, for people's queries: on connections of their own, and limited in number by the lane.

        Raises LaneFull when too many wait, except for a query that `continues` a response that has begun.
        """
        async with self.lane.slot(continues):
            return await self._read(self.sessions.engines.queries, work, self._querying)

    async def write(self, work: Callable[[Session], T], *, durable: bool = False) -> T:
        """Run `work` and commit. With `durable` the commit is on the disk when this returns.

        Durable writers go before the others: see `Precedence`.
        """
        if durable:
            with self._precedence.urgent():
                return await self.run_exclusive(lambda: self.sessions.write(work, durable=True))
        await self._precedence.wait_turn()
        return await self.run_exclusive(lambda: self.sessions.write(work, durable=False))

    async def write_in_turn(self, take: Callable[[], Write | None]) -> None:
        """Run the writes that `take` returns until it returns None, with no other writer in between.

        `take` is called in the event loop; each call means that the write it returned before is committed. So each
        transaction of a burst waits for the event loop only once.
        """
        with self._precedence.urgent():
            await self.run_exclusive(lambda: self._write_in_turn(take))

    async def unreadable_parts(self) -> dict[str, str]:
        """The reason by part, for the parts whose tables cannot be read now. Raises DBAPIError if none can."""
        return await self._read(self.sessions.engines.upkeep, unreadable_parts, self._checking)

    async def check(self) -> dict[str, str]:
        """The reason by part, for the parts that fail now. Raises DBAPIError when nothing can be read."""
        if self.file is not None and self.file.failure is not None:
            return {"file": self.file.failure, **self.outcomes.failing}
        return {**self.outcomes.failing, **await self.unreadable_parts()}

    async def set_aside(self, refused: Sequence[Refused]) -> None:
        """Write rows that no database accepts to the quarantine file; log them as lost when it is full."""
        try:
            await self.run_in_thread(lambda: self.quarantine.add(refused))
        except (QuarantineFull, OSError) as error:
            reason = str(error) if isinstance(error, QuarantineFull) else error.strerror
            log.error("rows that cannot be stored are lost", rows=len(refused), reason=reason)

    async def acquire_lock(self) -> None:
        """Make this process the only hub on the database. Raises DatabaseInUse, DBAPIError."""
        if self.sessions.lock is not None:
            await self.run_in_thread(self.sessions.lock.acquire)

    async def begin(self) -> None:
        """Lock the database and check that it is usable. Raises DatabaseInUse, DatabaseNotUtf8, DBAPIError."""
        await self.acquire_lock()
        if self.dialect == "postgresql":
            name, encoding = await self.read(lambda session: tuple(session.execute(_ENCODING).one()))
            if encoding != "UTF8":
                raise DatabaseNotUtf8(
                    f"the database {name} has the encoding {encoding} and the hub needs UTF8: make another one with"
                    " `createdb --encoding=UTF8 --template=template0 NAME` and name it in database.url"
                )
        if self.file is not None:
            await self.run_in_thread(self.file.make_private)
            self.file.remember()

    async def close_idle(self) -> None:
        """Close connections that are idle and hold memory; the next transaction opens a new one."""
        with suppress(DBAPIError):  # without a database there is none to close
            await self.run_exclusive(self.sessions.close_idle)

    async def close(self) -> None:
        """Close every connection and release the lock."""
        await self.run_in_thread(self.sessions.close)

    async def run_raw(self, work: Callable[[Any], T], *, exclusive: bool) -> T:
        """Run `work` on a connection of the driver, outside a transaction; when `exclusive` without any writer."""
        upkeep = self.sessions.engines.upkeep
        async with self._writing if exclusive else nullcontext():
            return await anyio.to_thread.run_sync(run_raw, upkeep, work, limiter=self._checking)

    async def run_exclusive(self, do: Callable[[], T]) -> T:
        """Run `do` in a worker thread while no writer runs."""
        return await anyio.to_thread.run_sync(do, limiter=self._writing)

    async def run_in_thread(self, do: Callable[[], T]) -> T:
        """Run `do`, which does not use the writers' connections, in a worker thread."""
        return await anyio.to_thread.run_sync(do, limiter=self._other)

    async def _read(self, engine: Engine, work: Callable[[Session], T], limiter: anyio.CapacityLimiter) -> T:
        return await anyio.to_thread.run_sync(self.sessions.read, engine, work, limiter=limiter)

    def _write_in_turn(self, take: Callable[[], Write | None]) -> None:
        while (write := anyio.from_thread.run_sync(take)) is not None:
            self.sessions.write(write.work, durable=write.durable)
            if write.then is not None:
                self.sessions.write(write.then, durable=False)


@asynccontextmanager
async def open_database(
    url: str,
    *,
    queries: int = 4,
    read_deadline_s: float = 30.0,
    exclusive: bool = True,
    quarantine: Path | None = None,
) -> AsyncIterator[Database]:
    """Open `sqlite:///path` or `postgresql://user:pw@host/db`; see `schema.upgrade` for the tables.

    With `exclusive` this process locks the database. Raises DatabaseInUse when another hub has locked it,
    DatabaseNotUtf8, DBAPIError when the server cannot be reached, ValueError for a URL that is not supported.
    `quarantine` is the file for rows that no database accepts.
    """
    engines = open_engines(url, queries, read_deadline_s)
    parsed = make_url(url)
    is_file = parsed.get_backend_name() == "sqlite"
    file = DatabaseFile(sqlite_path(parsed)) if is_file and exclusive else None
    lock: DatabaseLock | None = None
    if file is not None:
        lock = FileLock(file.path)
    elif exclusive and engines.lock is not None:
        lock = AdvisoryLock(engines.lock)
    database = Database(Sessions(engines, lock, file), queries, Quarantine(quarantine))
    try:
        await database.begin()
        yield database
    finally:
        with anyio.move_on_after(5, shield=True):
            await database.close()


_ENCODING = text("SELECT current_database(), current_setting('server_encoding')")
