"""An Oracle for tests that hold for any: the wire server, and a real database where HUB_TEST_ORACLE_DSN names one.

docs/operations.md tells how to start a real one. Nothing in it is touched but a table and a view of the test's own.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from secrets import token_hex
from typing import Any, Protocol

import oracledb
import pytest
from pydantic import SecretStr

from hub.oracle.connection import Account
from hub.simulators.oracle import Column, Faults, OracleServer, open_oracle
from hub.simulators.oracle.encoding import Scalar
from hub.simulators.oracle.plant import VIEW, VIEW_COLUMNS
from tests.redis_server import eventually

NAP_S = 3.0
NAP = f"WITH FUNCTION nap RETURN NUMBER IS BEGIN DBMS_SESSION.SLEEP({NAP_S}); RETURN 1; END; SELECT nap FROM DUAL"
"""A query that takes 3 s, in Oracle 18 or newer."""

_NOT_VISIBLE = (942, 1031, 41900)


class OracleDatabase(Protocol):
    """`account` may log on, under a program of this test's own, and read the equipment view `view`."""

    account: Account
    view: str

    async def load(self, rows: Sequence[tuple[Scalar, ...]]) -> None:
        """Have the view show these rows, in the order of its columns, instead of all others."""

    async def programs(self) -> list[str]:
        """The program of each session of this test that is open."""


@pytest.fixture(params=["wire", "real"])
async def oracle(request: pytest.FixtureRequest) -> AsyncIterator[OracleDatabase]:
    """An Oracle of each kind; the real one is skipped where there is none."""
    async with _open_wire() if request.param == "wire" else _open_real() as database:
        yield database


def feed_keys(oracle: OracleDatabase) -> dict[str, Any]:
    """What the configuration of a feed needs to read its view."""
    account = oracle.account
    password = account.password.get_secret_value()
    return {"dsn": account.dsn, "user": account.user, "password": password, "view": oracle.view}


async def until_alone(oracle: OracleDatabase) -> None:
    """Wait for the test's sessions to end; a real one whose client has left may sleep its nap out first."""

    async def is_alone() -> bool:
        return not await oracle.programs()

    await eventually(is_alone, within_s=5 * NAP_S)


class _Wire:
    def __init__(self, server: OracleServer) -> None:
        self.account = Account(server.dsn, "reader", SecretStr("secret"), program="hub-test")
        self.view = f"DWH.{VIEW}"
        self._server = server

    async def load(self, rows: Sequence[tuple[Scalar, ...]]) -> None:
        self._server.plant.view.replace(rows)

    async def programs(self) -> list[str]:
        return [session.attributes.get("AUTH_PROGRAM_NM", "") for session in self._server.sessions]


@asynccontextmanager
async def _open_wire() -> AsyncIterator[OracleDatabase]:
    async with open_oracle(faults=Faults(service_s={r"DBMS_SESSION\.SLEEP": (NAP_S, NAP_S)})) as server:
        yield _Wire(server)


class _Real:
    def __init__(self, account: Account, view: str, table: str, connection: oracledb.AsyncConnection) -> None:
        self.account = account
        self.view = view
        self._table = table
        self._connection = connection

    async def load(self, rows: Sequence[tuple[Scalar, ...]]) -> None:
        places = ", ".join(f":{number}" for number in range(1, len(VIEW_COLUMNS) + 1))
        with self._connection.cursor() as cursor:
            await cursor.execute(f"DELETE FROM {self._table}")
            if rows:
                await cursor.executemany(f"INSERT INTO {self._table} VALUES ({places})", list(rows))
        await self._connection.commit()

    async def programs(self) -> list[str]:
        sql = "SELECT program FROM v$session WHERE program LIKE :1"
        try:
            rows = await self._connection.fetchall(sql, [f"{self.account.program}%"])
        except oracledb.DatabaseError as error:
            if error.args[0].code not in _NOT_VISIBLE:
                raise
            user = self.account.user
            pytest.skip(f"{user} cannot count sessions: as SYS, GRANT SELECT ON v_$session TO {user}")
        return [program for (program,) in rows]


@asynccontextmanager
async def _open_real() -> AsyncIterator[OracleDatabase]:
    dsn = os.environ.get("HUB_TEST_ORACLE_DSN")
    if not dsn:
        pytest.skip("no real Oracle: set HUB_TEST_ORACLE_DSN, as docs/operations.md tells")
    user = os.environ.get("HUB_TEST_ORACLE_USER", "hub")
    password = os.environ.get("HUB_TEST_ORACLE_PASSWORD", "secret")
    test = token_hex(4)
    table, view = f"HUB_TEST_{test}", f"{VIEW}_{test}"
    columns = ", ".join(f'"{column.name}" {_declared(column)}' for column in VIEW_COLUMNS)
    async with (
        oracledb.connect_async(dsn, user=user, password=password) as connection,
        AsyncExitStack() as stack,
    ):
        await connection.execute(f"CREATE TABLE {table} ({columns})")
        stack.push_async_callback(connection.execute, f"DROP TABLE {table} PURGE")
        await connection.execute(f"CREATE VIEW {view} AS SELECT * FROM {table}")
        stack.push_async_callback(connection.execute, f"DROP VIEW {view}")
        yield _Real(Account(dsn, user, SecretStr(password), program=f"hub-test-{test}"), view, table, connection)


def _declared(column: Column) -> str:
    sized = f"({column.size})" if column.kind in ("CHAR", "VARCHAR2") else ""
    return f"{column.kind}{sized}{'' if column.nullable else ' NOT NULL'}"
