"""All lanes of one database on the real driver: a failure of one does not affect the others."""

import anyio
import pytest
from pydantic import SecretStr

from hub.equipment.view import select_sql
from hub.oracle.connection import Account, OracleUnavailable, Rows
from hub.oracle.lanes import Deadlines
from hub.oracle.oracle_lanes import OracleLanes
from hub.simulators.oracle import OracleServer, Plant, open_oracle
from tests.elapsed import takes_less_than
from tests.oracle_database import OracleDatabase, until_alone
from tests.redis_server import eventually

pytestmark = pytest.mark.anyio

VIEW = "SELECT * FROM DWH.DW_MES_EQUIPMENTSTATUS_WIP_V"
HISTORY = "SELECT h.CONTAINERID FROM DWH.DW_MES_LOTWIPHISTORY h WHERE h.CONTAINERID IN (:i0)"


def lanes_to(server: OracleServer) -> OracleLanes:
    return OracleLanes(Account(server.dsn, "reader", SecretStr("secret"), program="hub-fab"), bulk_sessions=2)


async def ignore(rows: Rows) -> bool:
    return True


async def test_each_lane_names_itself_to_the_database(oracle: OracleDatabase) -> None:
    assert await oracle.programs() == []
    await oracle.load(Plant(60, 50).view.rows)
    lanes = OracleLanes(oracle.account, bulk_sessions=2)
    programs: set[str] = set()

    async def look(rows: Rows) -> bool:
        programs.update(await oracle.programs())
        return True

    await lanes.bulk.read(select_sql(oracle.view), {}, look)
    assert programs == {f"{oracle.account.program}-bulk"}
    assert [lane.name for lane in lanes.every] == ["sync", "bulk", "probe"]
    assert 0 < await lanes.ping() < 5
    await lanes.bulk.close_idle()
    await until_alone(oracle)


async def test_a_full_and_hanging_bulk_lane_leaves_the_others_their_sessions() -> None:
    async with open_oracle() as server:
        server.faults.hang = "LOTWIPHISTORY"
        lanes = lanes_to(server)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(lanes.bulk.read, HISTORY, {"i0": "x"}, ignore)
            await eventually(lambda: server.counters.executing == 2 and lanes.bulk.admission.waiting == 8)
            with anyio.fail_after(60):
                assert (await lanes.sync.fetch(VIEW)).rows
                assert 0 < await lanes.ping() < 5
            assert (server.counters.executing, lanes.bulk.admission.waiting) == (2, 8)
            tasks.cancel_scope.cancel()
        assert [lane.counters.open for lane in lanes.every] == [0, 0, 0]


async def test_a_probe_of_a_silent_listener_ends_soon() -> None:
    async with open_oracle() as server:
        server.faults.connect = "silent"
        lanes = lanes_to(server)
        lanes.probe._deadlines = Deadlines(connect_s=0.1)
        with takes_less_than(5), pytest.raises(OracleUnavailable):
            await lanes.ping()
