"""Terminating a connection, idle or during a call, with the real driver."""

import anyio
import pytest
from pydantic import SecretStr

from hub.equipment.view import select_sql
from hub.oracle.connection import Account, OracleConnection, OracleUnavailable, Rows, connector
from hub.simulators.oracle import Plant, open_oracle
from hub.simulators.oracle.plant import VIEW
from tests.oracle_database import OracleDatabase, until_alone
from tests.redis_server import eventually

pytestmark = pytest.mark.anyio


async def connection_to(account: Account) -> OracleConnection:
    return await connector(account, call_s=60, fetch_rows=10)()


async def test_while_rows_arrive_the_call_ends_at_the_next_chunk(oracle: OracleDatabase) -> None:
    assert await oracle.programs() == []
    await oracle.load(Plant(60, 50).view.rows)
    connection = await connection_to(oracle.account)
    chunks = 0

    async def sink(rows: Rows) -> bool:
        nonlocal chunks
        chunks += 1
        if chunks == 3:
            connection.terminate()
            assert await oracle.programs(), "the socket is still there: the driver is at work on it"
        return True

    with pytest.raises(OracleUnavailable):
        await connection.stream(select_sql(oracle.view), {}, sink)
    assert chunks == 3
    await until_alone(oracle)
    assert not connection.is_usable


async def test_while_the_server_is_silent_the_socket_is_dropped_soon() -> None:
    async with open_oracle() as server:
        server.faults.hang = "EQUIPMENTSTATUS"
        server.faults.ignore_break = True
        connection = await connection_to(Account(server.dsn, "reader", SecretStr("secret")))
        async with anyio.create_task_group() as tasks:

            async def fetch() -> None:
                with pytest.raises(OracleUnavailable):
                    await connection.fetch(select_sql(VIEW))

            tasks.start_soon(fetch)
            await eventually(lambda: server.counters.executing == 1)
            connection.terminate()
            connection.terminate()
            with anyio.fail_after(1):
                await eventually(lambda: not server.sessions)


async def test_an_idle_connection_is_dropped_at_once_and_refuses_further_calls(oracle: OracleDatabase) -> None:
    connection = await connection_to(oracle.account)
    assert connection.is_usable
    connection.terminate()
    with pytest.raises(OracleUnavailable):
        await connection.fetch(select_sql(oracle.view))
    await until_alone(oracle)


async def test_the_columns_are_known_even_without_rows(oracle: OracleDatabase) -> None:
    connection = await connection_to(oracle.account)
    rows = await connection.fetch(f"SELECT * FROM {oracle.view} WHERE 1 = 0")
    assert rows.rows == []
    assert "RESOURCEID" in rows.columns
    await connection.close()
    await until_alone(oracle)
