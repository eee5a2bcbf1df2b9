"""Tests of the server as a process and of its control port."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import oracledb
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

pytestmark = pytest.mark.anyio

COMMAND = [
    sys.executable,
    "-m",
    "hub.simulators.oracle",
    "--rows",
    "30",
    "--machines",
    "20",
    "--session-limit",
    "6",
]


class Control:
    """One conversation with the control port."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self._stream = stream
        self._lines = BufferedByteReceiveStream(stream)

    async def ask(self, order: object) -> Any:
        await self._stream.send(json.dumps(order).encode() + b"\n")
        return json.loads(await self._lines.receive_until(b"\n", 1_000_000))


@asynccontextmanager
async def running() -> AsyncIterator[tuple[str, Control]]:
    async with await anyio.open_process(COMMAND, stderr=None) as process:
        assert process.stdout is not None
        with anyio.fail_after(60):
            ports = json.loads(await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1000))
        async with await anyio.connect_tcp("127.0.0.1", ports["control"]) as stream:
            yield ports["dsn"], Control(stream)
        process.terminate()
        assert await process.wait() == 0


async def test_the_process_is_controlled_while_it_serves() -> None:
    async with running() as (dsn, control):
        connection = await oracledb.connect_async(user="reader", password="secret", dsn=dsn)
        sql = "SELECT RESOURCEID, EQUIPMENTASSETSSTATUS FROM DWH.DW_MES_EQUIPMENTSTATUS_WIP_V"
        assert len(await connection.fetchall(sql)) == 30
        machine = (await control.ask({"get": "plant"}))["machines"][0]
        assert (await control.ask({"plant": {"status": [machine, "設備-LOST", "遺失"]}}))["rows"] >= 1
        assert dict(await connection.fetchall(sql))[machine] == "設備-LOST"
        counters = await control.ask({"get": "counters"})
        assert (counters["logins"], counters["statements"]) == (1, {sql: 2})

        assert await control.ask({"set": {"errors": {"WIP_V": [942, "table or view does not exist"]}}}) == {
            "ok": True
        }
        with pytest.raises(oracledb.DatabaseError, match="ORA-00942"):
            await connection.fetchall(sql)
        await control.ask({"set": {"errors": {}, "scale": 0.01, "service_s": {"": [2, 6]}}})
        assert (await control.ask({"get": "faults"}))["service_s"] == {"": [2, 6]}
        await control.ask({"plant": {"rows": 0}})
        assert await connection.fetchall(sql) == []
        assert await control.ask({"reset": "counters"}) == {"ok": True}
        assert (await control.ask({"get": "counters"}))["open_sessions"] == 1

        await control.ask({"listen": False})
        with pytest.raises(oracledb.OperationalError, match="DPY-6005"):
            await oracledb.connect_async(user="reader", password="secret", dsn=dsn)
        await control.ask({"listen": True})
        assert "no such fault: hnag" in (await control.ask({"set": {"hnag": "x"}}))["error"]
        assert "unknown command" in (await control.ask({"drop": "tables"}))["error"]
        await connection.close()
