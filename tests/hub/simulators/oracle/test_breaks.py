"""Tests of delays, hangs, time-outs, cancellation and lost connections."""

import asyncio

import anyio
import oracledb
import pytest

from hub.simulators.oracle import Binds, Column, Delay, Faults, Hang, ResultSet, open_oracle
from hub.simulators.oracle.answers import Answer
from hub.simulators.oracle.session import Session
from tests.hub.simulators.oracle.client import connected, until

pytestmark = pytest.mark.anyio

ONE = ResultSet([Column("N", "NUMBER")], [(1,)])


def answer(sql: str, binds: Binds, session: Session) -> Answer | None:
    if "SLOW" in sql:
        return Delay(0.05, ONE)
    if "STUCK" in sql:
        return Hang()
    if "MANY" in sql:
        return ResultSet([Column("N", "NUMBER"), Column("TEXT")], [(n, "x" * 30) for n in range(3000)])
    return None


async def test_a_delay_is_waited_for() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        before = anyio.current_time()
        assert await connection.fetchall("SELECT N FROM SLOW") == [(1,)]
        assert anyio.current_time() - before >= 0.05


async def test_a_call_timeout_leaves_the_connection_usable() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        connection.call_timeout = 50
        with pytest.raises(oracledb.DatabaseError, match="DPY-4024"):
            await connection.fetchall("SELECT N FROM STUCK")
        connection.call_timeout = 0
        assert await connection.fetchall("SELECT 1 FROM DUAL") == [(1,)]
    assert (server.counters.breaks, server.counters.aborted, server.counters.executing) == (1, 1, 0)


async def test_a_cancelled_query_leaves_the_connection_usable() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.fetchall("SELECT N FROM STUCK"), 0.05)
        assert await connection.fetchall("SELECT 1 FROM DUAL") == [(1,)]
    assert (server.counters.breaks, server.counters.aborted) == (1, 1)


async def test_cancel_from_outside_ends_the_query_with_an_error() -> None:
    async with open_oracle(handler=answer) as server, connected(server) as connection:
        query = asyncio.create_task(connection.fetchall("SELECT N FROM STUCK"))
        await until(lambda: server.counters.executing == 1)
        connection.cancel()
        with pytest.raises(oracledb.OperationalError, match="ORA-01013"):
            await query
        assert await connection.fetchall("SELECT 1 FROM DUAL") == [(1,)]


async def test_an_ignored_break_costs_the_connection() -> None:
    async with open_oracle(handler=answer, faults=Faults(ignore_break=True)) as server:
        async with connected(server) as connection:
            connection.call_timeout = 50
            with pytest.raises(oracledb.DatabaseError, match="DPY-4011"):
                await connection.fetchall("SELECT N FROM STUCK")
            assert not connection.is_healthy()
        await until(lambda: server.counters.open_sessions == 0)
    assert server.counters.aborted == 1


async def test_terminate_frees_a_cancelled_query_whose_break_is_ignored() -> None:
    async with open_oracle(handler=answer, faults=Faults(hang="DUAL", ignore_break=True)) as server:
        connection = await oracledb.connect_async(user="reader", password="secret", dsn=server.dsn)
        query = asyncio.create_task(connection.fetchall("SELECT 1 FROM DUAL"))
        await until(lambda: server.counters.executing == 1)
        query.cancel()
        await until(lambda: server.counters.breaks == 1)
        assert not query.done()
        connection.terminate()
        with pytest.raises(oracledb.Error, match="DPY-1001"):
            await asyncio.wait_for(query, 5)
        await until(lambda: server.counters.open_sessions == 0)
    assert server.counters.aborted == 1


async def test_terminate_from_outside_ends_the_query_at_once() -> None:
    async with open_oracle(handler=answer) as server:
        connection = await oracledb.connect_async(user="reader", password="secret", dsn=server.dsn)
        query = asyncio.create_task(connection.fetchall("SELECT N FROM STUCK"))
        await until(lambda: server.counters.executing == 1)
        connection.terminate()
        with pytest.raises(oracledb.Error, match="DPY-1001"):
            await asyncio.wait_for(query, 5)
        await until(lambda: server.counters.open_sessions == 0)
    assert (server.counters.breaks, server.counters.aborted) == (0, 1)


async def test_a_fetch_that_hangs_times_out() -> None:
    faults = Faults(hang_fetch=True)
    async with open_oracle(handler=answer, faults=faults) as server, connected(server) as connection:
        connection.call_timeout = 50
        with connection.cursor() as cursor:
            await cursor.execute("SELECT N FROM MANY")
            with pytest.raises(oracledb.DatabaseError, match="DPY-4024"):
                await cursor.fetchall()
        connection.call_timeout = 0
        assert await connection.fetchall("SELECT COUNT(*) FROM DWH.DW_MES_EQUIPMENTSTATUS_WIP_V") == [(27,)]


async def test_a_call_timeout_counts_each_round_trip() -> None:
    faults = Faults(fetch_s=0.05)
    async with open_oracle(handler=answer, faults=faults) as server, connected(server) as connection:
        connection.call_timeout = 190
        with connection.cursor() as cursor:
            cursor.arraysize = 750
            await cursor.execute("SELECT N FROM MANY")
            before = anyio.current_time()
            assert len(await cursor.fetchall()) == 3000
            assert anyio.current_time() - before > 0.19


async def test_a_connection_dropped_in_mid_fetch() -> None:
    faults = Faults(drop_after_rows=1500)
    async with open_oracle(handler=answer, faults=faults) as server, connected(server) as connection:
        with connection.cursor() as cursor:
            await cursor.execute("SELECT N FROM MANY")
            received = await cursor.fetchmany(1402)
            with pytest.raises(oracledb.DatabaseError, match="DPY-4011"):
                await cursor.fetchone()
        assert len(received) == 1402
        assert not connection.is_healthy()
    assert server.counters.dropped == 1


async def test_dropped_sessions_are_replaced_by_the_pool() -> None:
    async with open_oracle(handler=answer) as server:
        pool = oracledb.create_pool_async(user="reader", password="secret", dsn=server.dsn, min=1, max=2)
        async with pool.acquire() as connection:
            assert await connection.fetchall("SELECT 1 FROM DUAL") == [(1,)]
        server.drop_sessions()
        await until(lambda: server.counters.open_sessions == 0)
        async with pool.acquire() as connection:
            assert await connection.fetchall("SELECT 1 FROM DUAL") == [(1,)]
        await pool.close()
    assert server.counters.logins == 2
