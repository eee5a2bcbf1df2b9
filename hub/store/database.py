"""The one way to SQL: short transactions in worker threads, one writer and several readers."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NoReturn, TypeVar

import anyio
import structlog
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from alerts.database import Write
from hub.store.claim import Claim, FileClaim, ServerClaim
from hub.store.engines import Dialect, Engines, open_engines, sqlite_path
from hub.store.precedence import Precedence

T = TypeVar("T")

_CLAIM_CHECK_S = 5.0
_CHECKPOINT_EVERY_S = 5.0
_LOG_PAGES = 10_000

log = structlog.get_logger()


class Database:
    """Runs functions of a Session, each whole in one transaction in a worker thread.

    What is returned must stand without the session: rows and values, no lazy relations. Errors of the database
    come as `sqlalchemy.exc.DBAPIError`; `describe_trouble` names them. A started transaction always ends, even
    when the caller is cancelled meanwhile, so `work` must be short.
    """

    def __init__(self, engines: Engines, claim: Claim | None, readers: int) -> None:
        self._engines = engines
        self._claim = claim
        self._reading = anyio.CapacityLimiter(readers)
        self._writing = anyio.CapacityLimiter(1)
        self._claiming = anyio.CapacityLimiter(1)
        self._checkpointing = anyio.CapacityLimiter(1)
        self._precedence = Precedence()

    @property
    def dialect(self) -> Dialect:
        """`sqlite` or `postgresql`."""
        return "sqlite" if self._engines.writer.dialect.name == "sqlite" else "postgresql"

    async def read(self, work: Callable[[Session], T]) -> T:
        """Runs `work` on a read-only snapshot. Statements beyond the read deadline end as DBAPIError `too slow`."""
        return await anyio.to_thread.run_sync(_run, self._engines.readers, work, limiter=self._reading)

    async def write(self, work: Callable[[Session], T], *, durable: bool = False) -> T:
        """Runs `work` and commits. With `durable` the commit is on the disk when this returns.

        Durable writers go before the others: see `Precedence`.
        """
        if durable:
            with self._precedence.urgent():
                return await anyio.to_thread.run_sync(_run, self._engines.durable, work, limiter=self._writing)
        await self._precedence.let_pass()
        return await anyio.to_thread.run_sync(_run, self._engines.writer, work, limiter=self._writing)

    async def write_in_turn(self, take: Callable[[], Write | None]) -> None:
        """Runs what `take` gives until it gives None, before the other writers and with none in between.

        `take` is called in the event loop; a call says that what it gave before is committed. So a burst of
        transactions does not wait for a turn of a busy loop more than once each.
        """
        with self._precedence.urgent():
            await anyio.to_thread.run_sync(self._write_in_turn, take, limiter=self._writing)

    def _write_in_turn(self, take: Callable[[], Write | None]) -> None:
        while (write := anyio.from_thread.run_sync(take)) is not None:
            _run(self._engines.durable if write.durable else self._engines.writer, write.work)
            if write.then is not None:
                _run(self._engines.writer, write.then)

    async def check(self) -> None:
        """Raises DBAPIError when the database does not answer."""
        await self.read(lambda session: session.connection().exec_driver_sql("SELECT 1").scalar())

    async def run_guard(self) -> NoReturn:
        """Keeps the claim while the server comes and goes. Raises DatabaseTaken when another hub got in between."""
        while True:
            await anyio.sleep(_CLAIM_CHECK_S)
            try:
                await self.claim()
            except DBAPIError:
                continue  # no server, no writes by anybody: whoever writes reports it

    async def run_checkpoints(self) -> NoReturn:
        """SQLite: keeps the log short without holding up the writers.

        What was committed is moved into the file beside them, and what came meanwhile, until little is left;
        only that is moved with the writers held, which lets the log begin anew.
        """
        while True:
            await anyio.sleep(_CHECKPOINT_EVERY_S)
            pages = await anyio.to_thread.run_sync(self._checkpoint, limiter=self._checkpointing)
            if pages > _LOG_PAGES:
                for limiter in (self._checkpointing, self._checkpointing, self._writing):
                    await anyio.to_thread.run_sync(self._checkpoint, limiter=limiter)

    def _checkpoint(self) -> int:
        """Moves what can be moved; returns the pages in the log."""
        connection = self._engines.readers.raw_connection()
        try:
            row = connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return int(row[1])
        except sqlite3.OperationalError as error:  # locked or full: writers meet it too, and report it
            log.debug("checkpoint put off", reason=str(error))
            return 0
        finally:
            connection.close()

    async def claim(self) -> None:
        """Makes this process the one hub of the database. Raises DatabaseTaken, DBAPIError."""
        if self._claim is not None:
            await anyio.to_thread.run_sync(self._claim.take, limiter=self._claiming)

    async def close(self) -> None:
        """Closes every connection and gives the claim up."""
        await anyio.to_thread.run_sync(self._dispose)

    def _dispose(self) -> None:
        for engine in self._engines:
            engine.dispose()
        if self._claim is not None:
            self._claim.release()


@asynccontextmanager
async def open_database(
    url: str, *, readers: int = 4, read_deadline_s: float = 30.0, exclusive: bool = True
) -> AsyncIterator[Database]:
    """Opens `sqlite:///path` or `postgresql://user:pw@host/db`. Does not touch the schema: see `schema.upgrade`.

    With `exclusive` this process becomes the one hub of the database. Raises DatabaseTaken when there is one
    already, DBAPIError when the server cannot be reached, ValueError for a URL it cannot serve.
    """
    engines = open_engines(url, readers, read_deadline_s)
    claim: Claim | None = None
    if exclusive:
        parsed = make_url(url)
        is_file = parsed.get_backend_name() == "sqlite"
        claim = FileClaim(sqlite_path(parsed)) if is_file else ServerClaim(engines.durable)
    database = Database(engines, claim, readers)
    try:
        await database.claim()
        yield database
    finally:
        with anyio.move_on_after(5, shield=True):
            await database.close()


def _run(engine: Engine, work: Callable[[Session], T]) -> T:
    driver = engine.dialect.loaded_dbapi
    try:
        with Session(engine, expire_on_commit=False) as session:
            result = work(session)
            session.commit()
            return result
    except driver.Error as error:  # from work that speaks to the driver itself, such as COPY
        raise DBAPIError.instance(None, None, error, driver.Error, dialect=engine.dialect) from error
