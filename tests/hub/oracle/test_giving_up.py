"""A connection that is given up while it is at work, on the real driver."""

import anyio
import pytest
from pydantic import SecretStr

from hub.oracle.connection import Account, OracleConnection, OracleUnavailable, Rows, connector
from tests.oracle_wire import OracleServer, open_oracle
from tests.redis_server import eventually

pytestmark = pytest.mark.anyio

VIEW = "SELECT * FROM DWH.DW_MES_EQUIPMENTSTATUS_WIP_V"


async def connection_to(server: OracleServer) -> OracleConnection:
    return await connector(Account(server.dsn, "reader", SecretStr("secret")), call_s=60, fetch_rows=10)()


async def test_while_rows_come_it_ends_at_the_next_chunk() -> None:
    async with open_oracle() as server:
        connection = await connection_to(server)
        chunks = 0

        async def take(rows: Rows) -> bool:
            nonlocal chunks
            chunks += 1
            if chunks == 3:
                connection.terminate()
                assert server.sessions, "the socket is still there: the driver is at work on it"
            return True

        with pytest.raises(OracleUnavailable):
            await connection.stream(VIEW, {}, take)
        assert chunks == 3
        await eventually(lambda: not server.sessions)
        assert not connection.is_usable


async def test_while_the_server_is_silent_the_socket_goes_soon() -> None:
    async with open_oracle() as server:
        server.faults.hang = "EQUIPMENTSTATUS"
        server.faults.ignore_break = True
        connection = await connection_to(server)
        async with anyio.create_task_group() as tasks:

            async def fetch() -> None:
                with pytest.raises(OracleUnavailable):
                    await connection.fetch(VIEW)

            tasks.start_soon(fetch)
            await eventually(lambda: server.counters.executing == 1)
            connection.terminate()
            connection.terminate()
            with anyio.fail_after(1):
                await eventually(lambda: not server.sessions)


async def test_when_idle_it_goes_at_once_and_takes_no_further_call() -> None:
    async with open_oracle() as server:
        connection = await connection_to(server)
        assert connection.is_usable
        connection.terminate()
        await eventually(lambda: not server.sessions)
        with pytest.raises(OracleUnavailable):
            await connection.fetch(VIEW)


async def test_the_columns_are_known_even_without_rows() -> None:
    async with open_oracle() as server:
        connection = await connection_to(server)
        rows = await connection.fetch(f"{VIEW} WHERE 1 = 0")
        assert rows.rows == []
        assert "RESOURCEID" in rows.columns
        await connection.close()
