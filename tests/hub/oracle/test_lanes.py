import anyio
import pytest

from hub.oracle.admission import LaneBusy
from hub.oracle.connection import (
    Binds,
    Connection,
    DeadlineExceeded,
    FetchMode,
    OracleRejected,
    OracleUnavailable,
    Rows,
)
from hub.oracle.lanes import Deadlines, SyncLane
from tests.elapsed import takes_less_than
from tests.virtual_time import virtual

pytestmark = pytest.mark.anyio

QUICK = Deadlines(acquire_s=0.05, connect_s=0.05, query_s=0.05, close_s=0.05)
ROWS = Rows(("A",), [(1,)])


class Scripted:
    """A connection whose every step can hang or fail."""

    def __init__(self, hangs: str = "", fails: str = "") -> None:
        self.hangs, self.fails = hangs, fails
        self.opened = self.terminated = self.logged_off = 0
        self.gone = anyio.Event()

    async def step(self, name: str) -> None:
        if name == self.hangs:
            await self.gone.wait()
            raise OracleUnavailable("DPY-1001", "not connected")
        if name == self.fails:
            raise OracleUnavailable("DPY-4011", "gone")

    async def connect(self) -> Connection:
        await self.step("connect")
        self.opened += 1
        self.gone = anyio.Event()
        return self

    async def fetch(self, sql: str, binds: Binds | None = None, mode: FetchMode = FetchMode.PLAIN) -> Rows:
        await self.step("query")
        return ROWS

    async def close(self) -> None:
        await self.step("close")
        self.logged_off += 1

    def terminate(self) -> None:
        self.terminated += not self.gone.is_set()
        self.gone.set()


async def test_rows_come_over_a_fresh_connection_that_logs_off() -> None:
    database = Scripted()
    lane = SyncLane(database.connect, QUICK)
    assert await lane.fetch("select") == ROWS
    assert await lane.fetch("select") == ROWS
    assert (database.opened, database.logged_off, database.terminated) == (2, 2, 0)
    assert lane.counters.open == 0


@pytest.mark.parametrize("stage", ["connect", "query"])
@virtual
async def test_a_hung_stage_ends_at_its_deadline_and_is_named(stage: str) -> None:
    database = Scripted(hangs=stage)
    lane = SyncLane(database.connect, QUICK)
    with takes_less_than(0.051), pytest.raises(DeadlineExceeded) as caught:
        await lane.fetch("select")
    assert caught.value.stage == stage
    assert database.terminated == database.opened
    assert lane.counters.open == 0


@virtual
async def test_a_hung_logoff_does_not_cost_the_rows() -> None:
    database = Scripted(hangs="close")
    lane = SyncLane(database.connect, QUICK)
    with takes_less_than(0.051):
        assert await lane.fetch("select") == ROWS
    assert (database.terminated, lane.counters.open) == (1, 0)


async def test_a_failed_logoff_does_not_cost_the_rows() -> None:
    database = Scripted(fails="close")
    lane = SyncLane(database.connect, QUICK)
    assert await lane.fetch("select") == ROWS
    assert (database.terminated, lane.counters.open) == (1, 0)


async def test_a_failed_query_drops_the_socket_without_a_logoff() -> None:
    database = Scripted(fails="query")
    lane = SyncLane(database.connect, QUICK)
    with pytest.raises(OracleUnavailable):
        await lane.fetch("select")
    assert (database.terminated, database.logged_off, lane.counters.open) == (1, 0, 0)


async def test_cancelling_drops_the_socket_and_frees_the_slot() -> None:
    database = Scripted(hangs="query")
    lane = SyncLane(database.connect, Deadlines())
    with anyio.move_on_after(0.02):
        await lane.fetch("select")
    assert (database.terminated, lane.counters.open) == (1, 0)
    database.hangs = ""
    assert await lane.fetch("select") == ROWS


@virtual
async def test_a_second_query_waits_no_longer_than_the_acquire_deadline() -> None:
    database = Scripted(hangs="query")
    lane = SyncLane(database.connect, Deadlines(acquire_s=0.02))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lane.fetch, "select")
        await anyio.wait_all_tasks_blocked()
        with takes_less_than(0.021), pytest.raises(LaneBusy) as caught:
            await lane.fetch("select")
        tasks.cancel_scope.cancel()
    assert (caught.value.code, caught.value.lane) == ("BUSY", "sync")
    assert database.opened == 1


def test_only_a_lost_database_counts_as_unavailable() -> None:
    assert issubclass(DeadlineExceeded, OracleUnavailable)
    assert not issubclass(OracleRejected, OracleUnavailable)
