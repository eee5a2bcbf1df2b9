"""Errors of Oracle carry no text of the driver: it may contain a DSN, a statement or a row."""

import pytest
from pydantic import SecretStr

from hub.oracle.connection import Account, DriverFailed, OracleError, OracleUnavailable, connector
from hub.oracle.errors import driver_errors
from hub.oracle.lanes import SyncLane
from hub.oracle.messages import message_for
from hub.simulators.oracle import OraError, open_oracle

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("code", [942, 904, 1017, 1555, 20001, 600, 3113, 54321])
async def test_an_error_of_the_database_has_the_hubs_own_message(code: int) -> None:
    async with open_oracle() as server:
        server.faults.errors["DUAL"] = OraError(code, "reader/SECRET@host:1521/XE")
        lane = SyncLane(connector(Account(server.dsn, "reader", SecretStr("secret"))))
        with pytest.raises(OracleError) as caught:
            await lane.fetch("SELECT 1 FROM DUAL")
    assert caught.value.code == f"ORA-{code:05d}"
    assert caught.value.text == message_for(caught.value.code)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("dsn", ["reader/SECRET@127.0.0.1:1/XE", "SECRET@127.0.0.1:1/XE", "SECRET@"])
async def test_a_dsn_with_a_password_in_it_is_not_repeated(dsn: str) -> None:
    with pytest.raises(OracleError) as caught:
        await SyncLane(connector(Account(dsn, "reader", SecretStr("other")))).fetch("SELECT 1 FROM DUAL")
    assert "SECRET" not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("error", [ValueError("year -4712"), IndexError("x"), AssertionError(), RuntimeError("x")])
def test_whatever_else_the_driver_raises_has_a_name_without_its_text(error: Exception) -> None:
    with pytest.raises(DriverFailed) as caught, driver_errors(1.0):
        raise error
    assert (caught.value.code, type(error).__name__ in caught.value.text) == ("DRIVER", True)
    assert "4712" not in caught.value.text


def test_a_socket_that_fails_is_an_unavailable_database() -> None:
    with pytest.raises(OracleUnavailable) as caught, driver_errors(1.0):
        raise ConnectionResetError(104, "reset by SECRET")
    assert (caught.value.code, caught.value.text) == ("NETWORK", "the connection failed (ConnectionResetError)")
