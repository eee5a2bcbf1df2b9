"""The sync lane with the real driver against a server that misbehaves; what counts is what the server saw."""

import os
from datetime import UTC

import anyio
import pytest
from pydantic import SecretStr

from hub.equipment.aggregate import aggregate
from hub.equipment.view import parse_rows, select_sql
from hub.oracle.connection import (
    Account,
    DeadlineExceeded,
    OracleError,
    OracleRejected,
    OracleUnavailable,
    connector,
)
from hub.oracle.lanes import Deadlines, SyncLane
from tests.oracle_wire import OracleServer, OraError, Plant, open_oracle
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


async def test_the_view_is_read_by_name_with_its_mixed_case_columns() -> None:
    async with open_oracle(plant=Plant(2784, 2600)) as server:
        lane = lane_to(server)
        rows = await lane.fetch(SQL)
        clean, bad = parse_rows(rows, UTC)
        records, tally = aggregate(clean)
        assert {"Package", "Function"} <= set(rows.columns)
        assert len(rows.rows) == tally.rows > tally.machines == len(records) == 2600
        assert any(lot["PACKAGE"] for record in records for lot in record["LOT_DETAILS"])
        assert (bad.times, bad.quantities) == (0, 0)
        assert all(record["RESOURCEID"] == record["RESOURCEID"].strip() for record in records)
        assert await all_gone(server, lane)
        assert server.counters.logoffs == 1


async def test_the_dropped_columns_never_leave_the_database() -> None:
    async with open_oracle() as server:
        rows = await lane_to(server).fetch(select_sql("DWH.DW_MES_EQUIPMENTSTATUS_WIP_V", ["CREATEUSER"]))
        assert "CREATEUSER" not in rows.columns
        assert len(rows.columns) == 33


async def test_the_call_timeout_is_in_force_on_the_drivers_connection() -> None:
    async with open_oracle() as server:
        server.faults.hang = "EQUIPMENTSTATUS"
        lane = lane_to(server, call_s=0.2)
        with anyio.fail_after(3), pytest.raises(DeadlineExceeded) as caught:
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
        with anyio.fail_after(2), pytest.raises(DeadlineExceeded) as caught:
            await lane.fetch(SQL)
        assert caught.value.stage == "query"
        assert await all_gone(server, lane)


async def test_many_slow_fetches_that_each_keep_the_call_timeout_still_end_at_the_query_deadline() -> None:
    async with open_oracle() as server:
        server.plant.resize(1000)
        server.faults.fetch_s = 0.15
        account = Account(server.dsn, "reader", SecretStr("secret"))
        lane = SyncLane(connector(account, call_s=0.5, fetch_rows=50), Deadlines(query_s=0.6))
        with anyio.fail_after(3), pytest.raises(DeadlineExceeded) as caught:
            await lane.fetch(SQL)
        assert caught.value.stage == "query"
        assert await all_gone(server, lane)


async def test_a_silent_listener_ends_at_the_connect_deadline() -> None:
    async with open_oracle() as server:
        server.faults.connect = "silent"
        lane = lane_to(server, Deadlines(connect_s=0.2))
        with anyio.fail_after(2), pytest.raises(DeadlineExceeded) as caught:
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
        with anyio.fail_after(3), pytest.raises(OracleUnavailable):
            await lane.fetch(SQL)
        assert server.counters.dropped == 1
        assert await all_gone(server, lane)


async def test_a_wrong_password_is_a_rejection_and_stays_out_of_the_text() -> None:
    async with open_oracle() as server:
        lane = SyncLane(connector(Account(server.dsn, "reader", SecretStr("wrong-tiger"))))
        with pytest.raises(OracleRejected) as caught:
            await lane.fetch(SQL)
        assert caught.value.code == "ORA-01017"
        assert "wrong-tiger" not in str(caught.value)
        assert await all_gone(server, lane)


async def test_a_missing_view_is_a_rejection_and_a_lost_link_is_not() -> None:
    async with open_oracle() as server:
        lane = lane_to(server)
        server.faults.errors = {"EQUIPMENTSTATUS": OraError(942, "table or view does not exist")}
        with pytest.raises(OracleRejected) as rejected:
            await lane.fetch(SQL)
        server.faults.errors = {"EQUIPMENTSTATUS": OraError(2068, "following severe error from LINK")}
        with pytest.raises(OracleUnavailable) as lost:
            await lane.fetch(SQL)
        assert (rejected.value.code, lost.value.code) == ("ORA-00942", "ORA-02068")
        assert await all_gone(server, lane)


async def test_cancelling_in_mid_query_leaves_at_once_and_leaves_nothing_behind() -> None:
    async with open_oracle() as server:
        server.faults.hang = "EQUIPMENTSTATUS"
        server.faults.ignore_break = True
        lane = lane_to(server, call_s=30)
        with anyio.fail_after(2), anyio.move_on_after(0.2):
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
