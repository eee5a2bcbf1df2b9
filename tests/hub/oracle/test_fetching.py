"""Cells that Python cannot represent, fetched with the real driver."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import oracledb
import pytest
from pydantic import SecretStr

from hub.oracle.breaker import BreakerState
from hub.oracle.connection import Account, DriverFailed, OracleRejected, Rows, connector
from hub.oracle.fetching import text_sql
from hub.oracle.lanes import SyncLane
from hub.simulators.oracle import Column, OracleServer, OraError, open_oracle
from hub.simulators.oracle.encoding import Raw, Scalar, date_bytes
from hub.simulators.oracle.tables import Table

pytestmark = pytest.mark.anyio

COLUMNS = (Column("ID"), Column("NOTE", size=4000), Column("N", "NUMBER"), Column("T", "DATE"))
GOOD = datetime(2026, 3, 18, 8, 30)  # noqa: DTZ001 - a view's dates have no zone
HALF = Raw("café".encode()[:-1])

SQL = 'SELECT "ID", "NOTE", "N", "T" FROM things ORDER BY "ID"'


@asynccontextmanager
async def things(
    *rows: tuple[Scalar, ...], knows_to_char: bool = True
) -> AsyncIterator[tuple[SyncLane, OracleServer]]:
    async with open_oracle() as server:
        table = server.plant.tables["THINGS"] = Table(COLUMNS, rows)
        table.knows_to_char = knows_to_char
        account = Account(server.dsn, "reader", SecretStr("secret"))
        yield SyncLane(connector(account, call_s=5, fetch_rows=3)), server


async def read(*rows: tuple[Scalar, ...], knows_to_char: bool = True) -> Rows:
    async with things(*rows, knows_to_char=knows_to_char) as (lane, _):
        return await lane.fetch(SQL)


@pytest.mark.parametrize("knows_to_char", [True, False])
@pytest.mark.parametrize(
    "bad",
    [date_bytes(-4712), date_bytes(0), date_bytes(2026, 13), date_bytes(2026, 2, 30), date_bytes(-1, 6, 6)],
    ids=["4712 BC", "year 0", "month 13", "30 February", "1 BC"],
)
async def test_a_date_that_python_cannot_hold_is_empty_and_counted_and_every_row_comes(
    bad: Raw, knows_to_char: bool
) -> None:
    rows: list[tuple[Scalar, ...]] = [(f"r{number}", "note", number, GOOD) for number in range(8)]
    rows[4] = ("r4", "note", 4, bad)
    rows[5] = ("r5", None, None, None)
    found = await read(*rows, knows_to_char=knows_to_char)
    assert found.columns == ("ID", "NOTE", "N", "T")
    rows[4] = ("r4", "note", 4, None)
    assert found.rows == rows
    assert found.unreadable == {"T": 1}


@pytest.mark.parametrize("knows_to_char", [True, False])
async def test_bad_dates_in_the_first_and_last_and_in_neighbouring_rows(knows_to_char: bool) -> None:
    times: list[Scalar] = [date_bytes(-4712), date_bytes(-4712), GOOD, None, date_bytes(0), GOOD, date_bytes(-4712)]
    rows: list[tuple[Scalar, ...]] = [(f"r{number}", "note", 1, time) for number, time in enumerate(times)]
    found = await read(*rows, knows_to_char=knows_to_char)
    assert [row[0] for row in found.rows] == [row[0] for row in rows]
    assert [row[3] for row in found.rows] == [None, None, GOOD, None, None, GOOD, None]
    assert found.unreadable == {"T": 4}


async def test_half_a_character_is_a_replacement_character_and_costs_no_second_query() -> None:
    async with things(("a", HALF, 1, GOOD), ("b", "é" * 2000, 2, GOOD)) as (lane, server):
        found = await lane.fetch(SQL)
        assert sum(server.counters.statements.values()) == 1
    assert found.rows == [("a", "caf\N{REPLACEMENT CHARACTER}", 1, GOOD), ("b", "é" * 2000, 2, GOOD)]


async def test_a_good_result_is_read_once_and_as_before() -> None:
    async with things(*[(f"r{number}", None, -1.5, GOOD) for number in range(10)]) as (lane, server):
        found = await lane.fetch(SQL)
        assert sum(server.counters.statements.values()) == 1
    assert (len(found.rows), found.rows[0], found.unreadable) == (10, ("r0", None, -1.5, GOOD), {})


async def test_an_error_of_the_more_careful_reading_keeps_its_own_name() -> None:
    async with things(("a", "x", 1, date_bytes(0))) as (lane, server):
        server.faults.errors["TO_CHAR"] = OraError(1801, "date format is too long for internal buffer")
        with pytest.raises(OracleRejected) as caught:
            await lane.fetch(SQL)
        assert caught.value.code == "ORA-01801"
    assert lane.counters.open == 0


class Misnamed(Column):
    """A column whose name is no UTF-8."""

    def described(self, position: int) -> bytes:
        return super().described(position).replace(b"NOTE", b"NO\xffE")


async def test_whatever_the_driver_raises_has_a_name_and_the_next_read_is_good() -> None:
    async with things(("a", "x", 1, GOOD)) as (lane, server):
        good = server.plant.tables["THINGS"]
        server.plant.tables["THINGS"] = Table((COLUMNS[0], Misnamed("NOTE"), *COLUMNS[2:]), good.rows)
        with pytest.raises(DriverFailed) as caught:
            await lane.fetch(SQL)
        assert caught.value.code == "DRIVER"
        assert "UnicodeDecodeError" in caught.value.text
        assert lane.breaker.state is BreakerState.CLOSED
        server.plant.tables["THINGS"] = good
        assert (await lane.fetch(SQL)).rows == [("a", "x", 1, GOOD)]
    assert lane.counters.open == 0


def test_the_text_statement_asks_for_dates_and_numbers_as_text() -> None:
    sql = text_sql(
        "SELECT a",
        ("Package", "T", "N"),
        (oracledb.DB_TYPE_VARCHAR, oracledb.DB_TYPE_DATE, oracledb.DB_TYPE_NUMBER),
    )
    assert sql == (
        """SELECT "Package", TO_CHAR("T", 'SYYYY-MM-DD"T"HH24:MI:SS') AS "T", """
        """TO_CHAR("N", 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''') AS "N" FROM (SELECT a)"""
    )
