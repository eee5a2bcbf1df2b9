"""A lane gives one purpose access to Oracle, with its own connections, queue, breaker and deadlines.

- Lanes share nothing but the logon of their account, so one that hangs delays no other.
- A statement passes the breaker's check, waits for a slot of the admission, and runs under the breaker's guard.
- A connection is logged off after success, and dropped otherwise: opened == closed + terminated + open.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hub.oracle.admission import Admission
from hub.oracle.breaker import Breaker
from hub.oracle.connection import Binds, Connect, Connection, OracleError, Rows
from hub.oracle.deadline import call_with_deadline, deadline
from hub.oracle.fetching import FetchMode, fetch_carefully

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for each stage. `query_s` limits the whole statement with all its fetches."""

    acquire_s: float = 2.0
    connect_s: float = 10.0
    query_s: float = 60.0
    close_s: float = 2.0


def backstop_s(deadlines: Deadlines) -> float:
    """The driver's own timeout for a call, in seconds; long enough that the hub's own deadline always comes first.

    When the driver's timeout fires at the moment a reply arrives, the driver crashes the process.
    """
    return deadlines.query_s * 2


PROBE = Deadlines(acquire_s=1.0, connect_s=5.0, query_s=5.0, close_s=1.0)


@dataclass(slots=True)
class LaneCounters:
    """How many connections a lane has opened, closed by logging off, and terminated."""

    opened: int = 0
    closed: int = 0
    terminated: int = 0

    @property
    def open(self) -> int:
        """Connections open now."""
        return self.opened - self.closed - self.terminated


class SyncLane:
    """Opens a new connection for each query, one at a time, so that no query uses a stale socket.

    A logon every few minutes costs less than one query on a connection that a firewall has dropped. It is the lane
    of a feed, and with another name and shorter deadlines the lane of the probe.
    """

    def __init__(
        self,
        connect: Connect,
        deadlines: Deadlines | None = None,
        name: str = "sync",
        waiters: int = 4,
        breaker: Breaker | None = None,
    ) -> None:
        self.name = name
        self.counters = LaneCounters()
        self._connect = connect
        self._deadlines = deadlines or Deadlines()
        self.breaker = breaker or Breaker(name, open_s=10.0)
        self.admission = Admission(name, 1, waiters, self._deadlines.acquire_s)

    async def fetch(self, sql: str, binds: Binds | None = None) -> Rows:
        """All rows of a query. Raises `OracleError`; `DeadlineExceeded` names its stage.

        A cell that the driver cannot decode is None and counted, which needs a second query.
        """
        self.breaker.check()
        async with self.admission.slot():
            return await fetch_carefully(partial(self._fetch, sql, binds))

    async def _fetch(self, sql: str, binds: Binds | None, mode: FetchMode) -> Rows:
        limits = self._deadlines
        with self.breaker.guard():
            async with open_connection(self._connect, limits, self.counters) as connection:
                return await call_with_deadline(
                    connection, "query", limits.query_s, lambda: connection.fetch(sql, binds, mode)
                )


@asynccontextmanager
async def open_connection(
    connect: Connect, deadlines: Deadlines, counters: LaneCounters
) -> AsyncIterator[Connection]:
    """A connection for the block: logged off after success, and dropped after anything else.

    After an interrupted call the driver would wait without a limit for the server's reply to a logoff.
    """
    connection = await connected(connect, deadlines.connect_s, counters)
    try:
        yield connection
    except BaseException:
        drop(connection, counters)
        raise
    await log_off(connection, deadlines.close_s, counters)


async def connected(connect: Callable[[], Awaitable[T]], limit_s: float, counters: LaneCounters) -> T:
    """A new connection. Raises `DeadlineExceeded` after `limit_s` seconds, `OracleError`."""
    with deadline("connect", limit_s):
        connection = await connect()
    counters.opened += 1
    return connection


def drop(connection: Connection, counters: LaneCounters) -> None:
    """Drop the socket of a connection without logging off."""
    connection.terminate()
    counters.terminated += 1


async def log_off(connection: Connection, limit_s: float, counters: LaneCounters) -> None:
    """Log off within `limit_s` seconds, also when cancelled; drop the connection if that fails."""
    try:
        await call_with_deadline(connection, "close", limit_s, connection.close, cancellable=False)
    except OracleError:
        drop(connection, counters)  # the rows are complete already, so a failed logoff is no error
    else:
        counters.closed += 1
