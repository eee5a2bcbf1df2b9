"""The bulk lane with the real driver, judged by the counters of the server."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import anyio
import pytest
from pydantic import SecretStr

from hub.cache.slots import Slots, SlotTimes
from hub.oracle.admission import LaneBusy
from hub.oracle.breaker import BreakerState
from hub.oracle.bulk import BulkLane
from hub.oracle.connection import Account, DeadlineExceeded, OracleError, OracleUnavailable, Rows, connector
from hub.oracle.fleet_cap import FleetCap, SessionCap
from hub.oracle.lanes import Deadlines
from hub.simulators.oracle import OracleServer, open_oracle
from hub.trace.domains import DOMAINS, DomainName
from hub.trace.query import event_query
from tests.elapsed import takes_less_than
from tests.redis_server import eventually, private_redis, shared_redis

pytestmark = pytest.mark.anyio

QUERY = event_query(DOMAINS[DomainName.HISTORY], tuple(f"48801a80{number:08x}" for number in range(100)))
QUICK = Deadlines(acquire_s=0.2, connect_s=1, query_s=5, close_s=1)


def lane_to(
    server: OracleServer,
    sessions: int = 2,
    deadlines: Deadlines = QUICK,
    cap: SessionCap | None = None,
    fetch_rows: int = 50,
) -> BulkLane:
    connect = connector(Account(server.dsn, "reader", SecretStr("secret")), call_s=60, fetch_rows=fetch_rows)
    return BulkLane(connect, sessions, deadlines, cap=cap)


async def read(lane: BulkLane, most: int = 10**9) -> int:
    """Rows taken."""
    taken = 0

    async def sink(rows: Rows) -> bool:
        nonlocal taken
        taken += len(rows.rows)
        return taken < most

    await lane.read(QUERY.sql, QUERY.binds, sink)
    return taken


@asynccontextmanager
async def running(lane: BulkLane) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lane.run)
        yield
        tasks.cancel_scope.cancel()


async def test_batches_share_a_session_and_a_parsed_statement() -> None:
    async with open_oracle() as server:
        lane = lane_to(server)
        assert [await read(lane) for _ in range(3)] == [300, 300, 300]
        assert server.counters.logins == 1
        assert server.counters.reexecutes == 2
        await lane.close_idle()
        assert (lane.counters.open, server.counters.logoffs) == (0, 1)


async def test_an_idle_session_logs_off_by_itself() -> None:
    async with open_oracle() as server:
        lane = lane_to(server)
        lane._idle_s = 0.05
        async with running(lane):
            await read(lane)
            await eventually(lambda: server.counters.logoffs == 1)
        assert lane.counters.open == 0


async def test_stopping_the_lane_logs_off() -> None:
    async with open_oracle() as server:
        lane = lane_to(server)
        async with running(lane):
            await read(lane)
        assert (lane.counters.open, server.counters.logoffs) == (0, 1)


async def test_no_more_sessions_than_the_lane_has_and_the_rest_waits() -> None:
    async with open_oracle() as server:
        server.faults.service_s = {"LOTWIPHISTORY": (0.02, 0.02)}
        lane = lane_to(server, 2, Deadlines(acquire_s=10))
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(read, lane)
        assert server.counters.peak_sessions == 2
        assert server.counters.rows == 8 * 300
        await lane.close_idle()


async def test_a_caller_that_waits_too_long_gets_lane_busy() -> None:
    async with open_oracle() as server:
        server.faults.hang = "LOTWIPHISTORY"
        lane = lane_to(server, 1, Deadlines(acquire_s=0.05))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, lane)
            await eventually(lambda: server.counters.executing == 1)
            with takes_less_than(5), pytest.raises(LaneBusy):
                await read(lane)
            tasks.cancel_scope.cancel()
        assert lane.counters.open == 0


async def test_a_sink_that_wants_no_more_ends_the_read_and_keeps_the_session() -> None:
    async with open_oracle() as server:
        lane = lane_to(server)
        assert await read(lane, most=100) == 100
        assert await read(lane) == 300
        assert server.counters.logins == 1
        await lane.close_idle()


async def test_a_batch_ends_at_its_total_deadline_however_steadily_rows_come() -> None:
    async with open_oracle() as server:
        server.faults.fetch_s = 0.1
        lane = lane_to(server, 1, Deadlines(query_s=0.3), fetch_rows=10)
        with takes_less_than(5), pytest.raises(DeadlineExceeded):
            await read(lane)
        assert server.counters.rows < 300
        assert (lane.counters.terminated, lane.counters.open) == (1, 0)
        await eventually(lambda: server.counters.open_sessions == 0)


async def test_a_cancelled_read_ends_the_statement_on_the_server() -> None:
    async with open_oracle() as server:
        server.faults.hang = "LOTWIPHISTORY"
        lane = lane_to(server)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, lane)
            await eventually(lambda: server.counters.executing == 1)
            tasks.cancel_scope.cancel()
        await eventually(lambda: server.counters.executing == 0)
        assert server.counters.aborted == 1
        assert lane.counters.open == 0


async def test_a_session_that_the_server_has_cut_is_replaced() -> None:
    async with open_oracle() as server:
        lane = lane_to(server)
        await read(lane)
        server.drop_sessions()
        await eventually(lambda: not server.sessions)
        with takes_less_than(QUICK.connect_s + QUICK.query_s):
            assert await read(lane) == 300
        assert server.counters.logins == 2
        await lane.close_idle()


async def test_an_unavailable_database_opens_the_breaker() -> None:
    async with open_oracle() as server:
        server.faults.connect = "refuse"
        lane = lane_to(server)
        for _ in range(5):
            with pytest.raises(OracleUnavailable):
                await read(lane)
        refused = server.counters.refused
        with pytest.raises(LaneBusy) as refusal:
            await read(lane)
        assert refusal.value.code == "BREAKER"
        assert lane.breaker.state is BreakerState.OPEN
        assert server.counters.refused == refused == 5


async def test_many_reads_good_and_bad_leak_no_session() -> None:
    async with open_oracle() as server:
        lane = lane_to(server, 2)
        ended = {"good": 0, "bad": 0}
        for number in range(40):
            is_hanging = number % 8 == 3
            server.faults.hang = "LOTWIPHISTORY" if is_hanging else None
            lane._deadlines = Deadlines(query_s=0.2 if is_hanging else 60)
            server.faults.drop_after_rows = 60 if number % 8 == 6 else None
            try:
                await read(lane)
                ended["good"] += 1
            except OracleError:
                ended["bad"] += 1
        await lane.close_idle()
        await eventually(lambda: not server.sessions)
        assert ended == {"good": 30, "bad": 10}
        assert lane.counters.open == 0


async def test_lanes_on_one_redis_never_hold_more_sessions_than_the_fleet_may() -> None:
    async with shared_redis() as redis, open_oracle() as server:
        server.faults.service_s = {"LOTWIPHISTORY": (0.01, 0.03)}
        patient = Deadlines(acquire_s=30)
        lanes = [lane_to(server, 4, patient, FleetCap(Slots(redis, "bulk", 3))) for _ in range(4)]
        async with anyio.create_task_group() as keepers:
            for lane in lanes:
                keepers.start_soon(lane.run)
            async with anyio.create_task_group() as tasks:
                for lane in lanes:
                    for _ in range(10):
                        tasks.start_soon(read, lane)
            keepers.cancel_scope.cancel()
        assert server.counters.peak_sessions == 3
        assert server.counters.rows == 40 * 300


async def test_a_slot_that_others_wait_for_is_released_after_the_batch() -> None:
    async with shared_redis() as redis, open_oracle() as server:
        ours, theirs = (
            lane_to(server, 1, Deadlines(acquire_s=15), FleetCap(Slots(redis, "bulk", 1))) for _ in "ab"
        )
        async with anyio.create_task_group() as keepers:
            keepers.start_soon(ours.run)
            keepers.start_soon(theirs.run)
            await read(ours)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read, theirs)
                for _ in range(20):
                    await read(ours)
            keepers.cancel_scope.cancel()
        assert theirs.counters.opened == 1
        assert (ours.counters.opened, server.counters.peak_sessions) == (2, 1)


async def test_a_full_fleet_refuses_and_never_opens_another_session() -> None:
    async with shared_redis() as redis, open_oracle() as server:
        slots = Slots(redis, "bulk", 1, SlotTimes(hold_s=30))
        assert await slots.try_acquire("another hub")
        lane = lane_to(server, cap=FleetCap(slots))
        with takes_less_than(5), pytest.raises(LaneBusy) as refusal:
            await read(lane)
        assert refusal.value.code == "FLEET"
        assert server.counters.connections == 0


async def test_without_redis_no_session_is_opened() -> None:
    async with private_redis() as server_of_redis, open_oracle() as server:
        from hub.cache.redis import open_redis

        async with open_redis(server_of_redis.url) as redis:
            lane = lane_to(server, cap=FleetCap(Slots(redis, "bulk", 4)))
            assert await read(lane) == 300
            await lane.close_idle()
            await server_of_redis.stop()
            with takes_less_than(5), pytest.raises(LaneBusy) as refusal:
                await read(lane)
            assert refusal.value.code == "FLEET"
            assert server.counters.connections == 1


async def test_reads_cut_at_any_moment_end_in_order_and_leave_nothing() -> None:
    """When its socket goes at the wrong moment the driver takes the process down, so many moments are tried."""
    async with open_oracle() as server:
        server.faults.service_s = {"LOTWIPHISTORY": (0.0, 0.02)}
        lane = lane_to(server, 3, Deadlines(acquire_s=10, query_s=0.03))
        moments = Random(1)
        ended = Counter[str]()

        async def cut() -> None:
            with anyio.move_on_after(moments.uniform(0, 0.06)) as scope:
                try:
                    await read(lane)
                    ended["whole"] += 1
                except DeadlineExceeded:
                    ended["deadline"] += 1
            ended["cancelled"] += scope.cancelled_caught

        for _ in range(25):
            async with anyio.create_task_group() as tasks:
                for _ in range(6):
                    tasks.start_soon(cut)
        assert sum(ended.values()) == 150
        assert ended["cancelled"] > 10
        await lane.close_idle()
        await eventually(lambda: not server.sessions)
        assert lane.counters.open == 0
