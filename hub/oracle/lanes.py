"""A lane is the way of one purpose to Oracle: its own connections, its own waiting room, its own deadlines."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio

from hub.oracle.connection import Binds, Connect, Connection, DeadlineExceeded, OracleError, Rows


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds for each stage. `query_s` bounds the whole statement with all its fetches."""

    acquire_s: float = 2.0
    connect_s: float = 10.0
    query_s: float = 60.0
    close_s: float = 2.0


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
    """The lane of a feed: one fresh connection per cycle, so that no stale socket is ever met.

    A logon every few minutes costs less than one query on a connection that a firewall forgot.
    """

    def __init__(self, connect: Connect, deadlines: Deadlines | None = None) -> None:
        self._connect = connect
        self._deadlines = deadlines or Deadlines()
        self._slot = anyio.CapacityLimiter(1)
        self.counters = LaneCounters()

    async def fetch(self, sql: str, binds: Binds | None = None) -> Rows:
        """All rows of a query. Raises `OracleError`; a deadline raises `DeadlineExceeded` naming its stage."""
        limits = self._deadlines
        with deadline("acquire", limits.acquire_s):
            await self._slot.acquire()
        try:
            async with open_connection(self._connect, limits, self.counters) as connection:
                with deadline("query", limits.query_s):
                    return await connection.fetch(sql, binds)
        finally:
            self._slot.release()


@asynccontextmanager
async def open_connection(
    connect: Connect, deadlines: Deadlines, counters: LaneCounters
) -> AsyncIterator[Connection]:
    """A connection for the block. It logs off after success; after anything else its socket is dropped.

    A driver whose call was cut short would wait without a limit for the server's consent, so it is not asked.
    """
    with deadline("connect", deadlines.connect_s):
        connection = await connect()
    counters.opened += 1
    try:
        yield connection
    except BaseException:
        connection.terminate()
        counters.terminated += 1
        raise
    await _close(connection, deadlines.close_s, counters)


@contextmanager
def deadline(stage: str, limit_s: float) -> Iterator[None]:
    """Cuts the block off after `limit_s` seconds and raises `DeadlineExceeded(stage)`."""
    with anyio.move_on_after(limit_s) as scope:
        yield
    if scope.cancelled_caught:
        raise DeadlineExceeded(stage, limit_s)


async def _close(connection: Connection, close_s: float, counters: LaneCounters) -> None:
    is_closed = False
    try:
        with anyio.move_on_after(close_s, shield=True):
            await connection.close()
            is_closed = True
    except OracleError:
        pass  # the rows are here already; a server that cannot say goodbye changes nothing about them
    finally:
        if is_closed:
            counters.closed += 1
        else:
            connection.terminate()
            counters.terminated += 1
