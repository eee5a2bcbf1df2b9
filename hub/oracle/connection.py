"""One connection to Oracle through the thin driver: how it is opened, read and given up; what its errors mean."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import oracledb
from pydantic import SecretStr

from hub.oracle.errors import (
    DeadlineExceeded,
    DriverFailed,
    OracleError,
    OracleRejected,
    OracleUnavailable,
    driver_errors,
)
from hub.oracle.reading import Binds, Reading, Rows, read_chunks

__all__ = [
    "Account",
    "Binds",
    "Connect",
    "Connection",
    "DeadlineExceeded",
    "DriverFailed",
    "OracleConnection",
    "OracleError",
    "OracleRejected",
    "OracleUnavailable",
    "Reading",
    "Rows",
    "StreamingConnection",
    "Take",
    "connector",
]


Take = Callable[[Rows], Awaitable[bool]]
"""Takes a chunk of a result, and says whether it wants more; nothing is read from the database meanwhile."""


class Connection(Protocol):
    """What a lane needs of a connection."""

    async def fetch(self, sql: str, binds: Binds | None = None, reading: Reading = Reading.PLAIN) -> Rows:
        """All rows of a query, or an `OracleError`; never a part of them."""

    async def close(self) -> None:
        """Log off. May raise an `OracleError`."""

    def terminate(self) -> None:
        """Drop the socket; a call at work then ends with an `OracleError` soon. Harmless when closed."""


class StreamingConnection(Connection, Protocol):
    """What the bulk lane needs of a connection."""

    async def stream(self, sql: str, binds: Binds, take: Take, reading: Reading = Reading.PLAIN) -> tuple[str, ...]:
        """Hand the rows to `take` in chunks; returns the columns. May raise an `OracleError` after some of them."""

    @property
    def is_usable(self) -> bool:
        """False once it is known to be gone."""


Connect = Callable[[], Awaitable[Connection]]


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to log on as, and where. `dsn` is `host:port/service`."""

    dsn: str
    user: str
    password: SecretStr
    program: str = "hub"  # what a DBA sees in v$session


_SAFE_AFTER_S = 0.25
"""How long a call that is given up may take to get to its next chunk."""


class OracleConnection:
    """A `StreamingConnection` on the real driver; one call at a time."""

    def __init__(self, connection: oracledb.AsyncConnection, call_s: float, fetch_rows: int) -> None:
        self._connection = connection
        self._call_s = call_s
        self._fetch_rows = fetch_rows
        self._is_in_call = False
        self._is_given_up = False
        self._drop_later: asyncio.TimerHandle | None = None
        # On the driver's own object, and anew on each: a proxy or a pool would lose it.
        connection.call_timeout = round(call_s * 1000)

    async def fetch(self, sql: str, binds: Binds | None = None, reading: Reading = Reading.PLAIN) -> Rows:
        """All rows; `call_s` bounds each round trip, so the whole still needs a deadline of its own."""
        rows: list[tuple[Any, ...]] = []
        unreadable: Counter[str] = Counter()

        async def take(some: Rows) -> bool:
            rows.extend(some.rows)
            unreadable.update(some.unreadable)
            return True

        columns = await self.stream(sql, binds or {}, take, reading)
        return Rows(columns, rows, unreadable)

    async def stream(self, sql: str, binds: Binds, take: Take, reading: Reading = Reading.PLAIN) -> tuple[str, ...]:
        """Hand the rows to `take`, `fetch_rows` at a time, while it wants more; returns the columns' names."""
        columns: tuple[str, ...] = ()
        with self._calling(), self._cursor() as cursor:
            chunks = read_chunks(cursor, sql, binds, self._fetch_rows, reading, self._call_s)
            async with aclosing(chunks):
                async for chunk in chunks:
                    columns = chunk.columns
                    if self._is_given_up or (chunk.rows and not await take(chunk)):
                        break
        return columns

    @property
    def is_usable(self) -> bool:
        """False once the server or the network has closed it, as far as this side knows."""
        return not self._is_given_up and self._connection.is_healthy()

    async def close(self) -> None:
        """Log off, which also ends the transaction that a database link opened."""
        with self._calling(), driver_errors(self._call_s):
            await self._connection.close()

    def terminate(self) -> None:
        """Drop the socket: at once, or while a call is at work, as soon as that is safe.

        A call whose data is just arriving would go on with a socket that is no more, and the driver then takes the
        process down with it. So a call is ended between two chunks. One that does not get there soon is waiting for
        the server, and the socket can be dropped under it.
        """
        self._is_given_up = True
        if self._is_in_call and self._drop_later is None:
            self._drop_later = asyncio.get_running_loop().call_later(_SAFE_AFTER_S, self._connection.terminate)
        elif not self._is_in_call:
            self._connection.terminate()

    @contextmanager
    def _cursor(self) -> Iterator[oracledb.AsyncCursor]:
        with driver_errors(self._call_s):
            cursor = self._connection.cursor()
        try:
            yield cursor
        finally:
            with suppress(oracledb.Error):  # it went with its connection
                cursor.close()

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """One call of the driver, which fails once it is given up."""
        self._is_in_call = True
        try:
            yield
        finally:
            self._is_in_call = False
            if self._drop_later is not None:
                self._drop_later.cancel()
            if self._is_given_up:
                self._connection.terminate()
        if self._is_given_up:
            raise OracleUnavailable("DPY-1001", "the connection was given up")


def connector(
    account: Account, call_s: float = 20.0, fetch_rows: int = 500, statements: int = 5
) -> Callable[[], Awaitable[OracleConnection]]:
    """Opens connections of an account, each with `call_s` seconds per round trip.

    The driver's connect time-out covers TCP alone, so the caller sets a deadline round the whole. `fetch_rows` come
    per round trip: the driver decodes them in one go on the loop, and 3,000 wide rows would hold it for 25 ms.
    `statements` are kept parsed.
    """

    async def connect() -> OracleConnection:
        with driver_errors(call_s):
            opened = await oracledb.connect_async(
                account.dsn,
                user=account.user,
                password=account.password.get_secret_value(),
                program=account.program,
                tcp_connect_timeout=min(5.0, call_s),
                retry_count=0,
                expire_time=2,  # minutes between keep-alives
                stmtcachesize=statements,
            )
        return OracleConnection(opened, call_s, fetch_rows)

    return connect
