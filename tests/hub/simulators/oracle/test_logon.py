"""Tests of connecting, logging on and refusing, with the real driver."""

import anyio
import oracledb
import pytest

from hub.simulators.oracle import Faults, open_oracle
from tests.hub.simulators.oracle.client import connected, until

pytestmark = pytest.mark.anyio


async def test_a_login_names_the_client() -> None:
    async with open_oracle() as server, connected(server, program="hub-eq-sync") as connection:
        connection.module = "sync"
        connection.client_identifier = "hub-1"
        connection.current_schema = "DWH"
        await connection.ping()
        (session,) = server.sessions
        assert connection.version.startswith("23.")
        assert session.user == "reader"
        assert session.attributes["AUTH_PROGRAM_NM"] == "hub-eq-sync"
        assert session.attributes["AUTH_ALTER_SESSION"].startswith("ALTER SESSION SET TIME_ZONE=")
        assert (session.attributes["module"], session.attributes["client_identifier"]) == ("sync", "hub-1")
        assert session.attributes["current_schema"] == "DWH"
        assert (server.counters.logins, server.counters.open_sessions, server.counters.pings) == (1, 1, 1)
    assert (server.counters.logoffs, server.counters.open_sessions) == (1, 0)


def query_synchronously(dsn: str) -> list[tuple[object, ...]]:
    with (
        oracledb.connect(user="reader", password="secret", dsn=dsn) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 1 FROM DUAL")
        rows: list[tuple[object, ...]] = cursor.fetchall()
        with pytest.raises(oracledb.DatabaseError, match="ORA-00942"):
            cursor.execute("SELECT 1 FROM NOWHERE")
        return rows


async def test_the_synchronous_driver_works_too() -> None:
    async with open_oracle() as server:
        assert await anyio.to_thread.run_sync(query_synchronously, server.dsn) == [(1,)]


@pytest.mark.parametrize(("user", "password"), [("reader", "wrong"), ("nobody", "secret")])
async def test_a_wrong_password_is_denied(user: str, password: str) -> None:
    async with open_oracle() as server:
        with pytest.raises(oracledb.DatabaseError, match="ORA-01017"):
            await oracledb.connect_async(user=user, password=password, dsn=server.dsn)
        assert (server.counters.logins, server.counters.failed_logins) == (0, 1)


async def test_an_unknown_service_is_refused() -> None:
    async with open_oracle() as server:
        with pytest.raises(oracledb.OperationalError, match="DPY-6001"):
            await oracledb.connect_async(user="reader", password="secret", dsn=f"127.0.0.1:{server.port}/OTHER")
        assert server.counters.refused == 1


async def test_a_long_connect_string_comes_in_a_packet_of_its_own() -> None:
    async with open_oracle() as server:
        dsn = (
            f"(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT={server.port}))"
            f"(CONNECT_DATA=(SERVICE_NAME=XEPDB1)(CONNECTION_ID_PREFIX={'x' * 200})))"
        )
        connection = await oracledb.connect_async(user="reader", password="secret", dsn=dsn)
        await connection.close()
        assert server.counters.logins == 1


async def test_a_closed_listener_refuses_and_serves_again_on_the_same_port() -> None:
    async with open_oracle() as server:
        dsn = server.dsn
        server.stop_listening()
        with pytest.raises(oracledb.OperationalError, match="DPY-6005"):
            await oracledb.connect_async(user="reader", password="secret", dsn=dsn)
        await server.start_listening()
        assert server.dsn == dsn
        async with connected(server):
            assert server.counters.logins == 1


async def test_a_silent_listener_never_answers() -> None:
    async with open_oracle(faults=Faults(connect="silent")) as server:
        with pytest.raises(TimeoutError), anyio.fail_after(0.1):
            await oracledb.connect_async(user="reader", password="secret", dsn=server.dsn)
        assert (server.counters.connections, server.counters.logins) == (1, 0)


async def test_a_full_database_says_so() -> None:
    async with open_oracle(session_limit=1) as server, connected(server):
        server.faults.session_policy = "refuse"
        with pytest.raises(oracledb.OperationalError, match="12516"):
            await oracledb.connect_async(user="reader", password="secret", dsn=server.dsn)
        server.faults.session_policy = "ora18"
        with pytest.raises(oracledb.DatabaseError, match="ORA-00018"):
            await oracledb.connect_async(user="reader", password="secret", dsn=server.dsn)
        assert (server.counters.open_sessions, server.counters.refused) == (1, 2)


async def test_above_the_limit_sessions_queue_in_order() -> None:
    order: list[int] = []

    async def visit(number: int) -> None:
        async with connected(server):
            order.append(number)

    async with open_oracle(session_limit=1) as server, anyio.create_task_group() as visitors, connected(server):
        for number in range(3):
            visitors.start_soon(visit, number)
            await until(lambda waiting=number + 1: server.counters.queued_sessions == waiting)  # type: ignore[misc]
        assert order == []
    assert order == [0, 1, 2]
    assert (server.counters.peak_sessions, server.counters.queued_sessions) == (1, 3)
