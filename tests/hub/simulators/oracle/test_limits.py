"""Tests of pools, and of the limit on statements that execute at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import oracledb
import pytest
from oracledb import AsyncConnection

from hub.simulators.oracle import Faults, OracleServer, open_oracle
from tests.hub.simulators.oracle.client import connected, until

pytestmark = pytest.mark.anyio


async def test_a_pool_of_four_works_at_once() -> None:
    async with open_oracle(faults=Faults(service_s={"DUAL": (0.02, 0.02)})) as server:
        pool = oracledb.create_pool_async(user="reader", password="secret", dsn=server.dsn, min=4, max=4)
        answers: list[object] = []

        async def work() -> None:
            async with pool.acquire() as connection:
                answers.append(await connection.fetchall("SELECT 1 FROM DUAL"))

        async with anyio.create_task_group() as workers:
            for _ in range(12):
                workers.start_soon(work)
        await pool.close()
    assert answers == [[(1,)]] * 12
    assert (server.counters.logins, server.counters.peak_sessions, server.counters.peak_executing) == (4, 4, 4)


async def test_statements_execute_in_order_of_arrival() -> None:
    faults = Faults(executing_limit=2, hang="STUCK", service_s={"": (0.01, 0.01)})
    finished: list[int] = []
    async with open_oracle(faults=faults) as server:

        async def work(number: int, arrived: anyio.Event) -> None:
            async with connected(server) as connection:
                arrived.set()
                await connection.fetchall(f"SELECT {number} FROM DUAL")
                finished.append(number)

        async with anyio.create_task_group() as workers:
            for number in range(6):
                arrived = anyio.Event()
                workers.start_soon(work, number, arrived)
                await arrived.wait()
                await until(lambda count=number + 1: server.counters.statements.total() == count)  # type: ignore[misc]
    assert finished == [0, 1, 2, 3, 4, 5]
    assert server.counters.peak_executing <= 2


@asynccontextmanager
async def two_connected() -> AsyncIterator[tuple[OracleServer, AsyncConnection, AsyncConnection]]:
    """Two connections to a server that executes one statement at a time."""
    faults = Faults(executing_limit=1, hang="STUCK")
    async with open_oracle(faults=faults) as server, connected(server) as one, connected(server) as two:
        yield server, one, two


async def hang(connection: AsyncConnection) -> None:
    with pytest.raises(oracledb.DatabaseError, match="DPY-4024"):
        await connection.fetchall("SELECT 1 FROM STUCK")


async def test_a_broken_statement_frees_its_slot_for_the_next() -> None:
    async with two_connected() as (server, stuck, other), anyio.create_task_group() as workers:
        stuck.call_timeout = 60
        workers.start_soon(hang, stuck)
        await until(lambda: server.counters.executing == 1)
        assert await other.fetchall("SELECT 1 FROM DUAL") == [(1,)]
    assert (server.counters.peak_executing, server.counters.aborted) == (1, 1)


async def test_a_waiting_statement_can_be_broken_too() -> None:
    async with two_connected() as (server, stuck, other), anyio.create_task_group() as workers:
        stuck.call_timeout = 300
        workers.start_soon(hang, stuck)
        await until(lambda: server.counters.executing == 1)
        other.call_timeout = 30
        with pytest.raises(oracledb.DatabaseError, match="DPY-4024"):
            await other.fetchall("SELECT 1 FROM DUAL")
        assert (server.counters.aborted, server.counters.executing) == (1, 1)
        server.faults.executing_limit = None
        other.call_timeout = 0
        assert await other.fetchall("SELECT 1 FROM DUAL") == [(1,)]


async def test_service_times_are_scaled_and_seeded() -> None:
    spans = {"HISTORY": (2.0, 6.0), "": (1.0, 1.0)}
    one, two = (Faults(service_s=dict(spans), scale=0.01, seed=7) for _ in range(2))
    drawn = [one.service_seconds("select * from lot_history") for _ in range(100)]
    assert drawn == [two.service_seconds("SELECT * FROM LOT_HISTORY") for _ in range(100)]
    assert 0.02 <= min(drawn) < max(drawn) <= 0.06
    assert one.service_seconds("SELECT 1 FROM DUAL") == 0.01
