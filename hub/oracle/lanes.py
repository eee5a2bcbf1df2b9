"""A lane is the way of one purpose to Oracle: its own connections, waiting room, breaker and deadlines."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from hub.oracle.admission import Admission
from hub.oracle.breaker import Breaker
from hub.oracle.connection import Binds, Connect, Connection, OracleError, Rows
from hub.oracle.deadline import deadline, until_cut
from hub.oracle.reading import Reading, read_carefully

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for each stage. `query_s` bounds the whole statement with all its fetches."""

    acquire_s: float = 2.0
    connect_s: float = 10.0
    query_s: float = 60.0
    close_s: float = 2.0


def backstop_s(deadlines: Deadlines) -> float:
    """The driver's own time-out for a call, well behind ours and never met while our own deadlines work.

    When it fires at the very moment an answer comes, the driver takes the process down.
    """
    return deadlines.query_s * 2


PROBE = Deadlines(acquire_s=1.0, connect_s=5.0, query_s=5.0, close_s=1.0)


@dataclass(slots=True)
class LaneCounters:
    """What a lane has done so far. opened == closed + terminated, or something leaks."""

    opened: int = 0
    closed: int = 0
    terminated: int = 0

    @property
    def open(self) -> int:
        """Connections open now."""
        return self.opened - self.closed - self.terminated


class SyncLane:
    """One fresh connection per query, one query at a time, so that no stale socket is ever met.

    A logon every few minutes costs less than one query on a connection that a firewall forgot. The lane of a feed,
    and under another name and with shorter deadlines the lane of the probe.
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
        """All rows of a query. Raises `OracleError`; a `DeadlineExceeded` names its stage.

        A cell that the driver cannot decode is None and counted, at the cost of a second query.
        """
        self.breaker.check()
        async with self.admission.place():
            return await read_carefully(partial(self._fetch, sql, binds))

    async def _fetch(self, sql: str, binds: Binds | None, reading: Reading) -> Rows:
        limits = self._deadlines
        with self.breaker.guard():
            async with open_connection(self._connect, limits, self.counters) as connection:
                return await until_cut(
                    connection, "query", limits.query_s, lambda: connection.fetch(sql, binds, reading)
                )


@asynccontextmanager
async def open_connection(
    connect: Connect, deadlines: Deadlines, counters: LaneCounters
) -> AsyncIterator[Connection]:
    """A connection for the block. It logs off after success; after anything else its socket is dropped.

    A driver whose call was cut short would wait without a limit for the server's consent, so it is not asked.
    """
    connection = await connected(connect, deadlines.connect_s, counters)
    try:
        yield connection
    except BaseException:
        drop(connection, counters)
        raise
    await log_off(connection, deadlines.close_s, counters)


async def connected(connect: Callable[[], Awaitable[T]], limit_s: float, counters: LaneCounters) -> T:
    """A new connection within `limit_s` seconds."""
    with deadline("connect", limit_s):
        connection = await connect()
    counters.opened += 1
    return connection


def drop(connection: Connection, counters: LaneCounters) -> None:
    """Give a connection up without a word to the server."""
    connection.terminate()
    counters.terminated += 1


async def log_off(connection: Connection, limit_s: float, counters: LaneCounters) -> None:
    """Say goodbye, within `limit_s` seconds whatever is cancelled; a server that cannot is dropped."""
    try:
        await until_cut(connection, "close", limit_s, connection.close, cancellable=False)
    except OracleError:
        drop(connection, counters)  # its rows are here already: a bad goodbye changes nothing about them
    else:
        counters.closed += 1
