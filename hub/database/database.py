"""The one way to SQL: short transactions in worker threads, one writer and several readers."""

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
from hub.database.checks import broken_promises
from hub.database.claim import Claim, FileClaim, ServerClaim
from hub.database.engines import OWN_READERS, Dialect, open_engines, sqlite_path
from hub.database.file import DatabaseFile
from hub.database.lane import Lane
from hub.database.outcomes import Outcomes
from hub.database.precedence import Precedence
from hub.database.purpose import Purpose
from hub.database.quarantine import Quarantine, QuarantineFull
from hub.database.sessions import Sessions
from hub.database.transaction import run_raw

T = TypeVar("T")

log = structlog.get_logger()

_QUEUE = 16  # of people's queries
_PATIENCE_S = 5.0


class DatabaseNotUtf8(Exception):
    """The database cannot hold every text; the message says how to make one that can."""


class Database:
    """Runs functions of a Session, each whole in one transaction in a worker thread.

    What is returned must stand without the session: rows and values, no lazy relations. Errors of the database
    come as `sqlalchemy.exc.DBAPIError`; `describe_trouble` names them. A started transaction always ends, even
    when the caller is cancelled meanwhile, so `work` must be short.
    """

    def __init__(self, sessions: Sessions, queries: int, quarantine: Quarantine) -> None:
        self.sessions = sessions
        self.quarantine = quarantine
        self.outcomes = Outcomes()
        self.checkpoints = Checkpoints(self.run_raw, self.outcomes)
        self.lane = Lane(queries, _QUEUE, _PATIENCE_S)
        self._querying = anyio.CapacityLimiter(queries)
        self._reading = anyio.CapacityLimiter(OWN_READERS)
        self._checking = anyio.CapacityLimiter(1)
        self._writing = anyio.CapacityLimiter(1)
        self._looking = anyio.CapacityLimiter(1)
        self._precedence = Precedence()

    @property
    def dialect(self) -> Dialect:
        """`sqlite` or `postgresql`."""
        return "sqlite" if self.sessions.engines.writer.dialect.name == "sqlite" else "postgresql"

    @property
    def file(self) -> DatabaseFile | None:
        """Of SQLite, where this process is the one hub of it."""
        return self.sessions.file

    def of(self, promise: str) -> Purpose:
        """The database for one part of the hub, whose failures count as broken `promise`."""
        return Purpose(self, self.outcomes, promise)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Runs `work` on a read-only snapshot. Statements beyond the read deadline end as DBAPIError `too slow`."""
        return await self._read(self.sessions.engines.readers, work, self._reading)

    async def query(self, work: Callable[[Session], T], *, goes_on: bool = False) -> T:
        """Like `read`, for people: apart from the hub's own work, and in a bounded lane.

        Raises LaneFull too, but not for what `goes_on` with an answer that has begun.
        """
        async with self.lane.place(goes_on):
            return await self._read(self.sessions.engines.queries, work, self._querying)

    async def write(self, work: Callable[[Session], T], *, durable: bool = False) -> T:
        """Runs `work` and commits. With `durable` the commit is on the disk when this returns.

        Durable writers go before the others: see `Precedence`.
        """
        if durable:
            with self._precedence.urgent():
                return await self.alone(lambda: self.sessions.write(work, durable=True))
        await self._precedence.let_pass()
        return await self.alone(lambda: self.sessions.write(work, durable=False))

    async def write_in_turn(self, take: Callable[[], Write | None]) -> None:
        """Runs what `take` gives until it gives None, before the other writers and with none in between.

        `take` is called in the event loop; a call says that what it gave before is committed. So a burst of
        transactions does not wait for a turn of a busy loop more than once each.
        """
        with self._precedence.urgent():
            await self.alone(lambda: self._write_in_turn(take))

    async def broken_promises(self) -> dict[str, str]:
        """Reason by promise, for those whose tables cannot be read now. Raises DBAPIError when nothing can."""
        return await self._read(self.sessions.engines.upkeep, broken_promises, self._checking)

    async def check(self) -> dict[str, str]:
        """Reason by promise, for those that are not kept now. Raises DBAPIError when nothing can be read."""
        if self.file is not None and self.file.trouble is not None:
            return {"file": self.file.trouble, **self.outcomes.failing}
        return {**self.outcomes.failing, **await self.broken_promises()}

    async def set_aside(self, refused: Sequence[Refused]) -> None:
        """Puts rows that no database takes into quarantine; where that is full they are counted and logged only."""
        try:
            await self.beside(lambda: self.quarantine.keep(refused))
        except (QuarantineFull, OSError) as error:
            log.error("rows are lost that cannot be stored", rows=len(refused), reason=type(error).__name__)

    async def claim(self) -> None:
        """Makes this process the one hub of the database. Raises DatabaseTaken, DBAPIError."""
        if self.sessions.claim is not None:
            await self.beside(self.sessions.claim.take)

    async def begin(self) -> None:
        """Claims the database and sees that it can be used. Raises DatabaseTaken, DatabaseNotUtf8, DBAPIError."""
        await self.claim()
        if self.dialect == "postgresql":
            name, encoding = await self.read(lambda session: tuple(session.execute(_ENCODING).one()))
            if encoding != "UTF8":
                raise DatabaseNotUtf8(
                    f"the database {name} has the encoding {encoding} and the hub needs UTF8: make another one with"
                    " `createdb --encoding=UTF8 --template=template0 NAME` and name it in database.url"
                )
        if self.file is not None:
            await self.beside(self.file.make_private)
            self.file.remember()

    async def close_idle(self) -> None:
        """Closes the connections that keep memory and that nobody uses now; who needs one next opens it."""
        with suppress(DBAPIError):  # without a database there is none
            await self.alone(self.sessions.close_idle)

    async def close(self) -> None:
        """Closes every connection and gives the claim up."""
        await self.beside(self.sessions.close)

    async def run_raw(self, work: Callable[[Any], T], *, alone: bool) -> T:
        """Runs `work` on a connection of the driver outside of any transaction; `alone` with the writers held."""
        upkeep = self.sessions.engines.upkeep
        async with self._writing if alone else nullcontext():
            return await anyio.to_thread.run_sync(run_raw, upkeep, work, limiter=self._checking)

    async def alone(self, do: Callable[[], T]) -> T:
        """Runs what no writer may meet, in a worker thread."""
        return await anyio.to_thread.run_sync(do, limiter=self._writing)

    async def beside(self, do: Callable[[], T]) -> T:
        """Runs what disturbs nobody, in a worker thread."""
        return await anyio.to_thread.run_sync(do, limiter=self._looking)

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
    """Opens `sqlite:///path` or `postgresql://user:pw@host/db`. Does not touch the schema: see `schema.upgrade`.

    With `exclusive` this process becomes the one hub of the database. Raises DatabaseTaken when there is one
    already, DatabaseNotUtf8, DBAPIError when the server cannot be reached, ValueError for a URL it cannot serve.
    `quarantine` is a file for rows that no database takes.
    """
    engines = open_engines(url, queries, read_deadline_s)
    parsed = make_url(url)
    is_file = parsed.get_backend_name() == "sqlite"
    file = DatabaseFile(sqlite_path(parsed)) if is_file and exclusive else None
    claim: Claim | None = None
    if file is not None:
        claim = FileClaim(file.path)
    elif exclusive and engines.claim is not None:
        claim = ServerClaim(engines.claim)
    database = Database(Sessions(engines, claim, file), queries, Quarantine(quarantine))
    try:
        await database.begin()
        yield database
    finally:
        with anyio.move_on_after(5, shield=True):
            await database.close()


_ENCODING = text("SELECT current_database(), current_setting('server_encoding')")
