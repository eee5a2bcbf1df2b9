"""A connection to Oracle through the driver's thin mode: opens it, reads rows, and closes or terminates it.

The state of an `OracleConnection`; a call runs between two of its chunks or within one:

    open ──call──> in call ──returns──> open ──close──> closed
    open ──terminate──> terminated
    in call ──terminate──> ends at its next chunk, or 0.25 s later by the loss of its socket ──> terminated
"""

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
from hub.oracle.fetching import Binds, FetchMode, Rows, read_chunks

__all__ = [
    "Account",
    "Binds",
    "Connect",
    "Connection",
    "DeadlineExceeded",
    "DriverFailed",
    "FetchMode",
    "OracleConnection",
    "OracleError",
    "OracleRejected",
    "OracleUnavailable",
    "RowSink",
    "Rows",
    "StreamingConnection",
    "connector",
]


RowSink = Callable[[Rows], Awaitable[bool]]
"""Receives a chunk of a result, and returns whether it wants more; nothing is read from the database meanwhile."""


class Connection(Protocol):
    """A connection as the lanes use it."""

    async def fetch(self, sql: str, binds: Binds | None = None, mode: FetchMode = FetchMode.PLAIN) -> Rows:
        """All rows of a query. Raises `OracleError`; never returns a part of the rows."""

    async def close(self) -> None:
        """Log off. May raise an `OracleError`."""

    def terminate(self) -> None:
        """Drop the socket; a running call then soon raises `OracleError`. Does nothing once closed."""


class StreamingConnection(Connection, Protocol):
    """A connection as the bulk lane uses it."""

    async def stream(
        self, sql: str, binds: Binds, sink: RowSink, mode: FetchMode = FetchMode.PLAIN
    ) -> tuple[str, ...]:
        """Pass the rows to `sink` in chunks; returns the columns. May raise `OracleError` after some chunks."""

    @property
    def is_usable(self) -> bool:
        """False once the connection is known to be closed."""


Connect = Callable[[], Awaitable[Connection]]


@dataclass(frozen=True, slots=True)
class Account:
    """The credentials and the address to log on with. `dsn` is `host:port/service`."""

    dsn: str
    user: str
    password: SecretStr
    program: str = "hub"  # what a DBA sees in v$session


_SAFE_AFTER_S = 0.25
"""Seconds within which a terminated call may still reach its next chunk."""


class OracleConnection:
    """A `StreamingConnection` on the real driver; one call at a time."""

    def __init__(self, connection: oracledb.AsyncConnection, call_s: float, fetch_rows: int) -> None:
        self._connection = connection
        self._call_s = call_s
        self._fetch_rows = fetch_rows
        self._is_in_call = False
        self._is_terminated = False
        self._termination: asyncio.TimerHandle | None = None
        # Set on the driver's own object for each connection: a proxy or a pool would lose it.
        connection.call_timeout = round(call_s * 1000)

    async def fetch(self, sql: str, binds: Binds | None = None, mode: FetchMode = FetchMode.PLAIN) -> Rows:
        """All rows; `call_s` limits each round trip, so the caller sets a deadline for the whole."""
        rows: list[tuple[Any, ...]] = []
        unreadable: Counter[str] = Counter()

        async def sink(some: Rows) -> bool:
            rows.extend(some.rows)
            unreadable.update(some.unreadable)
            return True

        columns = await self.stream(sql, binds or {}, sink, mode)
        return Rows(columns, rows, unreadable)

    async def stream(
        self, sql: str, binds: Binds, sink: RowSink, mode: FetchMode = FetchMode.PLAIN
    ) -> tuple[str, ...]:
        """Pass the rows to `sink`, `fetch_rows` at a time, while it wants more; returns the columns' names."""
        columns: tuple[str, ...] = ()
        with self._calling(), self._cursor() as cursor:
            chunks = read_chunks(cursor, sql, binds, self._fetch_rows, mode, self._call_s)
            async with aclosing(chunks):
                async for chunk in chunks:
                    columns = chunk.columns
                    if self._is_terminated or (chunk.rows and not await sink(chunk)):
                        break
        return columns

    @property
    def is_usable(self) -> bool:
        """False once it was terminated, or the driver has noticed that it is closed."""
        return not self._is_terminated and self._connection.is_healthy()

    async def close(self) -> None:
        """Log off, which also ends the transaction that a database link opened."""
        with self._calling(), driver_errors(self._call_s):
            await self._connection.close()

    def terminate(self) -> None:
        """Drop the socket: at once, or during a call as soon as that is safe.

        A call whose data is just arriving would continue with a closed socket, and the driver would crash the
        process. So a call is ended between two chunks. A call that does not reach its next chunk soon waits for the
        server, and its socket can be dropped.
        """
        self._is_terminated = True
        if self._is_in_call and self._termination is None:
            self._termination = asyncio.get_running_loop().call_later(_SAFE_AFTER_S, self._connection.terminate)
        elif not self._is_in_call:
            self._connection.terminate()

    @contextmanager
    def _cursor(self) -> Iterator[oracledb.AsyncCursor]:
        with driver_errors(self._call_s):
            cursor = self._connection.cursor()
        try:
            yield cursor
        finally:
            with suppress(oracledb.Error):  # closed with its connection
                cursor.close()

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Run one call of the driver. Raises `OracleUnavailable` when it was terminated meanwhile."""
        self._is_in_call = True
        try:
            yield
        finally:
            self._is_in_call = False
            if self._termination is not None:
                self._termination.cancel()
            if self._is_terminated:
                self._connection.terminate()
        if self._is_terminated:
            raise OracleUnavailable("DPY-1001", "the connection was dropped")


def connector(
    account: Account, call_s: float = 20.0, fetch_rows: int = 500, statements: int = 5
) -> Callable[[], Awaitable[OracleConnection]]:
    """A function that opens connections of an account, each with `call_s` seconds per round trip.

    The driver's connect timeout covers TCP only, so the caller sets a deadline for the whole. A round trip fetches
    `fetch_rows` rows: the driver decodes them at once on the event loop, and 3,000 wide rows block it for 25 ms.
    `statements` are cached parsed.
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
