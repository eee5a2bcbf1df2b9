"""Tests of bulk history, the split tree and seeds as the driver sees them."""

import pytest

from hub.simulators.oracle import History, Plant, open_oracle
from hub.simulators.oracle.split_tree import SplitTree
from tests.hub.simulators.oracle.client import connected

pytestmark = pytest.mark.anyio


def in_list(count: int) -> str:
    return ", ".join(f":{number}" for number in range(1, count + 1))


def plant() -> Plant:
    return Plant(history=History(rows_per_id=4, tree=SplitTree(lots=100, roots=10, fanout=2), seed_lots=20))


async def test_events_of_ids_padded_and_repeated() -> None:
    async with open_oracle(plant=plant()) as server, connected(server) as connection:
        tree = server.plant.history.tree
        ids = [tree.id_of(3), tree.id_of(5), "foreign-id-00001"]
        rows = await connection.fetchall(
            "SELECT h.CONTAINERID, c.CONTAINERNAME, h.TRACKINQTY, h.TRACKINTIMESTAMP AS AT_TIME, h.EQUIPMENTNAME "
            "FROM DWH.DW_MES_LOTWIPHISTORY h LEFT JOIN DWH.DW_MES_CONTAINER c ON c.CONTAINERID = h.CONTAINERID "
            f"WHERE h.CONTAINERID IN ({in_list(10)})",
            ids + [ids[-1]] * 7,
        )
        expected = [
            (
                row["CONTAINERID"],
                row["CONTAINERNAME"],
                row["TRACKINQTY"],
                row["TRACKINTIMESTAMP"],
                row["EQUIPMENTNAME"],
            )
            for each in ids
            for row in server.plant.history.rows_of("DW_MES_LOTWIPHISTORY", each)
        ]
    assert rows == expected
    assert len(rows) == 12


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("DW_MES_LOTWIPHISTORY", "CONTAINERID, WORKCENTER_GROUP, SPECNAME, TRACKOUTQTY, WAFER_LOT_ID"),
        ("DW_MES_LOTMATERIALSHISTORY", "CONTAINERID, MATERIALPARTNAME, QTYCONSUMED, TXNDATE"),
        ("DW_MES_LOTREJECTHISTORY", "CONTAINERID, A.X + A.Y AS REJECT_TOTAL_QTY, TRUNC(A.TXNDATE) TXN_DAY"),
        ("DW_MES_HOLDRELEASEHISTORY", "CONTAINERID, HOLDREASONNAME, RELEASETXNDATE, HOLD_HOURS"),
        ("DW_MES_JOB", "JOBID, CONTAINERIDS, CONTAINERNAMES, COMPLETEDATE"),
    ],
)
async def test_every_domain_answers(table: str, columns: str) -> None:
    filtered = (
        "CONTAINERID IN (:1, :2)" if table != "DW_MES_JOB" else "A.CONTAINERIDS LIKE '%'||:1||'%' OR A.X LIKE :2"
    )
    async with open_oracle(plant=plant()) as server, connected(server) as connection:
        sql = f"SELECT {columns} FROM DWH.{table} A WHERE {filtered}"
        assert len(await connection.fetchall(sql, ["48801a8000000001", "%48801a8000000002%"])) == 8
        counted = f"SELECT COUNT(*) FROM (SELECT 1 FROM DWH.{table} A WHERE {filtered})"
        assert await connection.fetchall(counted, ["48801a8000000001", "48801a8000000002"]) == [(8,)]


async def test_the_newest_rows_through_a_nested_select() -> None:
    async with open_oracle(plant=plant()) as server, connected(server) as connection:
        rows = await connection.fetchall(
            "WITH newest AS (SELECT h.CONTAINERID, h.EQUIPMENTID, ROW_NUMBER() OVER (PARTITION BY h.CONTAINERID "
            "ORDER BY h.TRACKINTIMESTAMP DESC) rn FROM DWH.DW_MES_LOTWIPHISTORY h WHERE h.CONTAINERID IN (:1)) "
            "SELECT CONTAINERID, EQUIPMENTID FROM newest WHERE rn = 1",
            ["48801a8000000001"],
        )
    assert {row[0] for row in rows} == {"48801a8000000001"}


async def test_ancestors_and_descendants() -> None:
    columns = "CONTAINERID, SPLITFROMID, CONTAINERNAME, LEVEL, CONNECT_BY_ROOT CONTAINERID AS ROOT_ID"
    walk = f"SELECT {columns} FROM DWH.DW_MES_CONTAINER START WITH CONTAINERID IN (:1, :2) CONNECT BY NOCYCLE PRIOR"
    async with open_oracle(plant=plant()) as server, connected(server) as connection:
        tree = server.plant.history.tree
        leaf, root = tree.id_of(99), tree.id_of(1)
        up = await connection.fetchall(f"{walk} SPLITFROMID = CONTAINERID AND LEVEL <= 20", [leaf, leaf])
        down = await connection.fetchall(f"{walk} CONTAINERID = SPLITFROMID AND LEVEL <= 2", [root, "unknown"])
    assert [(row[0], row[3]) for row in up] == [
        (tree.id_of(n), level) for level, n in ((1, 99), (2, 44), (3, 17), (4, 3))
    ]
    assert [row[1] for row in up] == [tree.id_of(44), tree.id_of(17), tree.id_of(3), None]
    assert {row[0] for row in down} == {root, *tree.children(root), "unknown".ljust(16)}
    assert {row[4] for row in up} == {leaf}


async def test_merges_names_and_orders() -> None:
    async with open_oracle(plant=plant()) as server, connected(server) as connection:
        tree = server.plant.history.tree
        merges = await connection.fetchall(
            "SELECT LOTID, CONTAINERID, FINISHEDNAME FROM DWH.DW_MES_PJ_COMBINEDASSYLOTS WHERE LOTID IN (:1, :2)",
            [tree.id_of(10), tree.id_of(11)],
        )
        named = await connection.fetchall(
            "SELECT CONTAINERID FROM DWH.DW_MES_CONTAINER WHERE CONTAINERNAME IN (:1, :2)",
            [tree.name_of(tree.id_of(7)), "no such lot"],
        )
        ordered = await connection.fetchall(
            "SELECT DISTINCT CONTAINERID FROM DWH.DW_MES_CONTAINER WHERE MFGORDERNAME IN (:1)", ["MO-000001"]
        )
    assert [(row[0], row[1]) for row in merges] == [
        (tree.id_of(10), tree.id_of(11)),
        (tree.id_of(10), tree.id_of(12)),
    ]
    assert named == [(tree.id_of(7),)]
    assert ordered == [(tree.id_of(number),) for number in range(25, 50)]


async def test_a_query_without_ids_finds_the_seeds() -> None:
    async with open_oracle(plant=plant()) as server, connected(server) as connection:
        rows = await connection.fetchall(
            "SELECT DISTINCT r.CONTAINERID FROM DWH.DW_MES_LOTREJECTHISTORY r WHERE r.TXNDATE >= :a AND r.X = :wc",
            {"a": 1, "wc": "TMTT"},
        )
    assert rows == [(server.plant.history.tree.id_of(number),) for number in range(20)]
