"""Tests of what reaches a handler as binds."""

from datetime import datetime
from decimal import Decimal

import oracledb
import pytest

from hub.simulators.oracle import Binds, Column, Done, ResultSet, open_oracle
from hub.simulators.oracle.answers import Answer
from hub.simulators.oracle.session import Session
from tests.hub.simulators.oracle.client import connected

pytestmark = pytest.mark.anyio

AT = datetime(2026, 3, 18, 2, 46, 29, 123456)  # noqa: DTZ001 - the column has no zone


class Listener:
    """Keeps the binds of every statement."""

    def __init__(self) -> None:
        self.heard: list[Binds] = []

    def __call__(self, sql: str, binds: Binds, session: Session) -> Answer:
        self.heard.append(binds)
        if sql.startswith("SELECT"):
            return ResultSet([Column("N", "NUMBER")], [(len(binds.values),)])
        return Done(len(binds.rows))


async def test_by_position_of_every_kind() -> None:
    listener = Listener()
    async with open_oracle(handler=listener) as server, connected(server) as connection:
        await connection.fetchall(
            "SELECT 1 FROM T WHERE A = :1 AND B = :2 AND C = :3 AND D = :4 AND E = :5",
            ["設備-LOST", -12, Decimal("3.25"), AT, None],
        )
    # a datetime is bound as a DATE: the microseconds are lost
    assert listener.heard[0].values == ("設備-LOST", -12, Decimal("3.25"), AT.replace(microsecond=0), None)


async def test_by_name_a_name_used_twice_comes_twice() -> None:
    listener = Listener()
    async with open_oracle(handler=listener) as server, connected(server) as connection:
        await connection.fetchall(
            "SELECT 1 FROM T WHERE A = ':no' AND B > :since AND C = :id OR D = :id", {"id": "x", "since": 7}
        )
    assert listener.heard[0].names == ("SINCE", "ID", "ID")
    assert listener.heard[0].by_name() == {"SINCE": 7, "ID": "x"}


async def test_a_timestamp_keeps_its_fraction_when_asked() -> None:
    listener = Listener()
    async with open_oracle(handler=listener) as server, connected(server) as connection:
        with connection.cursor() as cursor:
            cursor.setinputsizes(t=oracledb.DB_TYPE_TIMESTAMP)
            await cursor.execute("SELECT 1 FROM T WHERE UPDATED_AT > :t", t=AT)
    assert listener.heard[0].values == (AT,)


async def test_a_thousand_ids_twice_and_then_of_another_type() -> None:
    listener = Listener()
    ids = [f"{number:016x}" for number in range(999)]
    sql = f"SELECT 1 FROM T WHERE ID IN ({','.join(f':{n}' for n in range(1, 1000))})"
    async with open_oracle(handler=listener) as server, connected(server) as connection:
        assert await connection.fetchall(sql, ids) == [(999,)]
        assert await connection.fetchall(sql, ids[::-1]) == [(999,)]
        assert await connection.fetchall(sql, list(range(999))) == [(999,)]
    assert listener.heard[0].values == tuple(ids)
    assert listener.heard[1].values == tuple(ids[::-1])
    assert listener.heard[2].values == tuple(range(999))
    assert server.counters.reexecutes == 2


async def test_long_texts_and_many_rows() -> None:
    listener = Listener()
    rows = [("長" * 5000, n, "y" * 40_000) for n in range(20)]
    async with open_oracle(handler=listener) as server, connected(server) as connection:
        for _ in range(2):
            await connection.executemany("INSERT INTO T VALUES (:1, :2, :3)", rows)
    assert listener.heard[0].rows == listener.heard[1].rows == tuple(rows)
