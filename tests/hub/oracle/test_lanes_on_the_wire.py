"""The sync lane with the real driver against a faulty server, judged by the counters of the server."""

import os

import anyio
import pytest
from pydantic import SecretStr

from hub.equipment.view import select_sql
from hub.oracle.connection import Account, DeadlineExceeded, OracleError, OracleUnavailable, connector
from hub.oracle.lanes import Deadlines, SyncLane
from hub.simulators.oracle import OracleServer, OraError, open_oracle
from tests.elapsed import takes_less_than
from tests.redis_server import eventually

pytestmark = pytest.mark.anyio

SQL = select_sql("DWH.DW_MES_EQUIPMENTSTATUS_WIP_V")
TROUBLES = ("hang", "drop", "error", "silent")
REFRESHES = 1000 if os.environ.get("HUB_SOAK") == "1" else 40


def lane_to(server: OracleServer, deadlines: Deadlines | None = None, call_s: float = 5.0) -> SyncLane:
    account = Account(server.dsn, "reader", SecretStr("secret"), program="hub-eq-sync-fab")
    return SyncLane(connector(account, call_s), deadlines)


async def all_gone(server: OracleServer, lane: SyncLane) -> bool:
    await eventually(lambda: not server.sessions, within_s=3)
    return lane.counters.open == 0


async def test_the_call_timeout_is_in_force_on_the_drivers_connection() -> None:
    async with open_oracle() as server:
        server.faults.hang = "EQUIPMENTSTATUS"
        lane = lane_to(server, call_s=0.2)
        with takes_less_than(5), pytest.raises(DeadlineExceeded) as caught:
            await lane.fetch(SQL)
        assert caught.value.stage == "call"
        assert server.counters.breaks >= 1
        assert await all_gone(server, lane)


@pytest.mark.parametrize("ignore_break", [False, True])
async def test_a_hung_query_ends_at_the_query_deadline_even_if_the_server_ignores_the_break(
    ignore_break: bool,
) -> None:
    async with open_oracle() as server:
        server.faults.hang = "EQUIPMENTSTATUS"
        server.faults.ignore_break = ignore_break
        lane = lane_to(server, Deadlines(query_s=0.2), call_s=30)
        with takes_less_than(5), pytest.raises(DeadlineExceeded) as caught:
            await lane.fetch(SQL)
        assert caught.value.stage == "query"
        assert await all_gone(server, lane)


async def test_many_slow_fetches_that_each_keep_the_call_timeout_still_end_at_the_query_deadline() -> None:
    async with open_oracle() as server:
        server.plant.resize(1000)
        server.faults.fetch_s = 0.15
        account = Account(server.dsn, "reader", SecretStr("secret"))
        lane = SyncLane(connector(account, call_s=0.5, fetch_rows=50), Deadlines(query_s=0.6))
        with takes_less_than(5), pytest.raises(DeadlineExceeded) as caught:
            await lane.fetch(SQL)
        assert caught.value.stage == "query"
        assert server.counters.rows < 1000
        assert await all_gone(server, lane)


async def test_a_silent_listener_ends_at_the_connect_deadline() -> None:
    async with open_oracle() as server:
        server.faults.connect = "silent"
        lane = lane_to(server, Deadlines(connect_s=0.2))
        with takes_less_than(5), pytest.raises(DeadlineExceeded) as caught:
            await lane.fetch(SQL)
        assert caught.value.stage == "connect"
        assert await all_gone(server, lane)


async def test_a_listener_that_refuses_is_unavailable() -> None:
    async with open_oracle() as server:
        server.faults.connect = "refuse"
        lane = lane_to(server)
        with pytest.raises(OracleUnavailable):
            await lane.fetch(SQL)
        assert await all_gone(server, lane)


async def test_a_connection_that_dies_in_mid_fetch_gives_no_rows_at_all() -> None:
    async with open_oracle() as server:
        server.plant.resize(1000)
        server.faults.drop_after_rows = 500
        account = Account(server.dsn, "reader", SecretStr("secret"))
        lane = SyncLane(connector(account, fetch_rows=200))
        with takes_less_than(5), pytest.raises(OracleUnavailable):
            await lane.fetch(SQL)
        assert server.counters.dropped == 1
        assert await all_gone(server, lane)


async def test_a_lost_link_is_no_rejection() -> None:
    async with open_oracle() as server:
        lane = lane_to(server)
        server.faults.errors = {"EQUIPMENTSTATUS": OraError(2068, "following severe error from LINK")}
        with pytest.raises(OracleUnavailable) as lost:
            await lane.fetch(SQL)
        assert lost.value.code == "ORA-02068"
        assert await all_gone(server, lane)


async def test_cancelling_leaves_at_once_even_if_the_server_ignores_the_break() -> None:
    async with open_oracle() as server:
        server.faults.hang = "EQUIPMENTSTATUS"
        server.faults.ignore_break = True
        lane = lane_to(server, call_s=30)
        with takes_less_than(5), anyio.move_on_after(0.2):
            await lane.fetch(SQL)
        assert await all_gone(server, lane)


async def test_many_refreshes_good_and_bad_leak_no_connection() -> None:
    async with open_oracle() as server:
        lane = lane_to(server, Deadlines(connect_s=0.3, query_s=0.3), call_s=0.1)
        files_before = len(os.listdir("/proc/self/fd"))
        ended: dict[str, int] = {}
        for number in range(REFRESHES):
            trouble = TROUBLES[number // 4 % len(TROUBLES)] if number % 4 == 0 else "none"
            server.faults.hang = "EQUIPMENTSTATUS" if trouble == "hang" else None
            server.faults.drop_after_rows = 10 if trouble == "drop" else None
            server.faults.errors = {"EQUIPMENTSTATUS": OraError(3113, "end-of-file")} if trouble == "error" else {}
            server.faults.connect = "silent" if trouble == "silent" else "accept"
            try:
                await lane.fetch(SQL)
            except OracleError:
                ended[trouble] = ended.get(trouble, 0) + 1
            else:
                ended["good"] = ended.get("good", 0) + 1
        assert set(ended) == {"good", "hang", "drop", "error", "silent"}
        assert sum(ended.values()) == REFRESHES
        assert server.counters.peak_sessions <= 2
        assert await all_gone(server, lane)
        assert len(os.listdir("/proc/self/fd")) <= files_before + 2
