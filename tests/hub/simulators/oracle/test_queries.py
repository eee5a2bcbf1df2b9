"""Tests of executing and fetching with the real driver."""

from datetime import datetime
from decimal import Decimal

import oracledb
import pytest

from hub.simulators.oracle import Binds, Column, Done, OraError, ResultSet, open_oracle
from hub.simulators.oracle.answers import Answer
from hub.simulators.oracle.session import Session
from tests.hub.simulators.oracle.client import connected

pytestmark = pytest.mark.anyio

EVERY_KIND = (
    Column("ID", "CHAR", 16, nullable=False),
    Column("NAME"),
    Column("Package", "VARCHAR2", 4000),
    Column("QTY", "NUMBER"),
    Column("RATE", "NUMBER", precision=10, scale=3),
    Column("AT", "DATE"),
    Column("STAMP", "TIMESTAMP"),
)
AT = datetime(2026, 3, 18, 2, 46, 29)  # noqa: DTZ001 - the column has no zone
STAMP = datetime(2026, 3, 18, 2, 46, 29, 123456)  # noqa: DTZ001


def numbers(count: int) -> ResultSet:
    return ResultSet([Column("N", "NUMBER"), Column("TEXT")], [(n, f"row {n}") for n in range(count)])


def answer(sql: str, binds: Binds, session: Session) -> Answer | None:
    match sql.split():
        case ["SELECT", "*", "FROM", "KINDS"]:
            rows = [
                ("a1", "設備-LOST", "長" * 4000, -30784, Decimal("-0.125"), AT, STAMP),
                ("b2", None, "x" * 253, None, None, None, None),
                ("0123456789abcdef", "", "", 10**30, 12.5, AT, AT),
            ]
            return ResultSet(EVERY_KIND, rows)
        case ["SELECT", "*", "FROM", "NUMBERS", count]:
            return numbers(int(count))
        case ["INSERT", *_]:
            return Done(len(binds.rows))
        case ["SELECT", "1", "FROM", "TWICE"]:
            return OraError(1, "unique constraint (DWH.PK) violated")
    return None


async def test_every_kind_of_value_comes_through() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        first, second, third = await connection.fetchall("SELECT * FROM KINDS")
    assert first == ("a1".ljust(16), "設備-LOST", "長" * 4000, -30784, -0.125, AT, STAMP)
    assert second == ("b2".ljust(16), None, "x" * 253, None, None, None, None)
    assert third == ("0123456789abcdef", None, None, 10**30, 12.5, AT, AT)


async def test_columns_are_described() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        with connection.cursor() as cursor:
            await cursor.execute("SELECT * FROM KINDS")
            described = [(each.name, each.type_code, each.null_ok) for each in cursor.description]
            sizes = [(each.precision, each.scale) for each in cursor.description if each.name == "RATE"]
    assert described[:3] == [
        ("ID", oracledb.DB_TYPE_CHAR, False),
        ("NAME", oracledb.DB_TYPE_VARCHAR, True),
        ("Package", oracledb.DB_TYPE_VARCHAR, True),
    ]
    assert [kind for _, kind, _ in described[3:]] == [
        oracledb.DB_TYPE_NUMBER,
        oracledb.DB_TYPE_NUMBER,
        oracledb.DB_TYPE_DATE,
        oracledb.DB_TYPE_TIMESTAMP,
    ]
    assert sizes == [(10, 3)]


@pytest.mark.parametrize(
    ("arraysize", "prefetch", "fetches"), [(3000, 3000, 1), (100, 2, 30), (3000, 3001, 0), (1000, 0, 4)]
)
async def test_rows_come_in_batches(arraysize: int, prefetch: int, fetches: int) -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        with connection.cursor() as cursor:
            cursor.arraysize, cursor.prefetchrows = arraysize, prefetch
            await cursor.execute("SELECT * FROM NUMBERS 3000")
            rows = await cursor.fetchall()
    assert rows == [(n, f"row {n}") for n in range(3000)]
    assert (server.counters.fetches, server.counters.rows) == (fetches, 3000)


async def test_no_rows_are_no_error() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        assert await connection.fetchall("SELECT * FROM NUMBERS 0") == []


async def test_a_statement_run_again_sends_no_text() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        for _ in range(3):
            assert len(await connection.fetchall("SELECT * FROM NUMBERS 150")) == 150
    assert server.counters.statements["SELECT * FROM NUMBERS 150"] == 3
    assert server.counters.reexecutes == 2


async def test_dropped_cursors_are_closed_along_the_way() -> None:
    async with open_oracle(handler=answer) as server, connected(server, stmtcachesize=2) as connection:
        for count in range(6):
            await connection.fetchall(f"SELECT * FROM NUMBERS {count}")
        await connection.ping()
    assert server.counters.cursors_closed >= 3


async def test_an_error_leaves_the_connection_usable() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        with pytest.raises(oracledb.DatabaseError, match="ORA-00942: table or view does not exist"):
            await connection.fetchall("SELECT X FROM NOWHERE")
        with pytest.raises(oracledb.IntegrityError, match="ORA-00001: unique constraint"):
            await connection.fetchall("SELECT 1 FROM TWICE")
        server.faults.errors["NUMBERS"] = OraError(2068, "following severe error from WAREHOUSE")
        with pytest.raises(oracledb.DatabaseError, match="ORA-02068"):
            await connection.fetchall("SELECT * FROM NUMBERS 5")
        server.faults.errors.clear()
        assert await connection.fetchall("SELECT 1 FROM DUAL") == [(1,)]
    assert server.counters.errors == 3


async def test_a_transaction_is_ended_by_commit_or_rollback() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        with connection.cursor() as cursor:
            await cursor.executemany("INSERT INTO T VALUES (:1, :2)", [(1, "a"), (2, "b"), (3, "c")])
            assert cursor.rowcount == 3
        assert connection.transaction_in_progress
        await connection.commit()
        assert not connection.transaction_in_progress
        await connection.rollback()
    assert (server.counters.commits, server.counters.rollbacks) == (1, 1)


async def test_a_select_over_a_link_makes_the_pool_roll_back() -> None:
    async with open_oracle() as server:
        server.plant.view.transaction = True
        pool = oracledb.create_pool_async(user="reader", password="secret", dsn=server.dsn, min=1, max=1)
        async with pool.acquire() as connection:
            await connection.fetchall("SELECT RESOURCEID FROM DWH.DW_MES_EQUIPMENTSTATUS_WIP_V")
        await pool.close()
    assert server.counters.rollbacks == 1
