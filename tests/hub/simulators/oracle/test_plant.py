"""Tests of the equipment view as the driver sees it."""

from datetime import datetime

import oracledb
import pytest

from hub.simulators.oracle import Plant, open_oracle
from hub.simulators.oracle.plant import VIEW_COLUMNS
from tests.hub.simulators.oracle.client import connected

pytestmark = pytest.mark.anyio

VIEW = "DWH.DW_MES_EQUIPMENTSTATUS_WIP_V"


async def test_the_view_has_its_34_columns_and_so_many_rows() -> None:
    async with open_oracle(plant=Plant(rows=2784, machines=2600)) as server, connected(server) as connection:
        with connection.cursor() as cursor:
            cursor.arraysize = cursor.prefetchrows = 3000
            await cursor.execute(f"SELECT * FROM {VIEW}")
            rows = await cursor.fetchall()
            names = [each.name for each in cursor.description]
    assert (len(names), names[0], names[19], names[33]) == (34, "RESOURCEID", "Package", "LOTTRACKINEMPLOYEE")
    assert len(rows) == 2784
    assert len({row[0] for row in rows}) == 2600
    assert rows == list(server.plant.view.rows)
    assert {"PRD", "SBY", "UDT", "設備-LOST"} <= {row[3] for row in rows}
    assert server.counters.fetches == 0


async def test_a_choice_of_columns_quoted_and_with_aliases() -> None:
    async with open_oracle() as server, connected(server) as connection:
        with connection.cursor() as cursor:
            await cursor.execute(
                f'SELECT v.RESOURCEID, v."Package" AS PACKAGE, lottrackinqty_pcs qty, "Function" FROM {VIEW} v'
            )
            rows = await cursor.fetchall()
            names = [each.name for each in cursor.description]
    assert names == ["RESOURCEID", "PACKAGE", "QTY", "Function"]
    assert rows == [(row[0], row[19], row[31], row[21]) for row in server.plant.view.rows]


async def test_a_name_the_view_does_not_have() -> None:
    async with open_oracle() as server, connected(server) as connection:
        with pytest.raises(oracledb.DatabaseError, match='ORA-00904: "PACKAGE": invalid identifier'):
            await connection.fetchall(f"SELECT Package FROM {VIEW}")


async def test_changes_show_in_the_next_select() -> None:
    async with open_oracle() as server, connected(server) as connection:
        sql = f"SELECT RESOURCEID, EQUIPMENTASSETSSTATUS FROM {VIEW}"
        await connection.fetchall(sql)
        machine = server.plant.machines[3]
        assert server.plant.set_status(machine, "設備-LOST") >= 1
        assert dict(await connection.fetchall(sql))[machine] == "設備-LOST"
        assert await connection.fetchall(f"SELECT COUNT(*) FROM {VIEW}") == [(27,)]
        server.plant.resize(0)
        assert await connection.fetchall(sql) == []
        server.plant.resize(5, 5)
        assert len(await connection.fetchall(sql)) == 5


async def test_dual_returns_the_time_of_the_plant() -> None:
    now = datetime(2026, 3, 18, 2, 46, 29)  # noqa: DTZ001 - the database's local time
    async with open_oracle(plant=Plant(clock=lambda: now)) as server, connected(server) as connection:
        assert await connection.fetchall("SELECT 1 FROM DUAL") == [(1,)]
        assert await connection.fetchall("SELECT SYSDATE FROM DUAL") == [(now,)]
        assert await connection.fetchall("SELECT SYSDATE AS NOW, SYSTIMESTAMP T, 1.5 FROM DUAL") == [
            (now, now, 1.5)
        ]


def test_the_same_seed_gives_the_same_plant() -> None:
    assert Plant(rows=50, machines=40, seed=3).view.rows == Plant(rows=50, machines=40, seed=3).view.rows
    assert [column.kind for column in VIEW_COLUMNS].count("DATE") == 2


async def test_writing_is_not_allowed() -> None:
    async with open_oracle() as server, connected(server) as connection:
        with connection.cursor() as cursor, pytest.raises(oracledb.DatabaseError, match="ORA-01031"):
            await cursor.execute(f"DELETE FROM {VIEW}")
