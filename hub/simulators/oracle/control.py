"""The control port of the simulated Oracle: one JSON object per line in, one JSON object per line out.

{"get": "counters" | "faults" | "plant"}     {"reset": "counters"}     {"drop": "sessions"}     {"listen": false}
{"set": {"hang": "LOTWIPHISTORY", "session_limit": 6, "errors": {"pattern": [942, "table or view does not exist"]}}}
{"plant": {"status": ["4880168000000000", "UDT", "Vacuum low"]}} or {"plant": {"rows": 0, "machines": 0}}
"""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from dataclasses import fields
from typing import Any

from hub.simulators.oracle.answers import OraError
from hub.simulators.oracle.faults import Faults
from hub.simulators.oracle.server import OracleServer

FAULTS = frozenset(each.name for each in fields(Faults)) - {"seed"}


def set_faults(faults: Faults, changes: dict[str, Any]) -> None:
    """Change faults by name. Raises ValueError for an unknown name."""
    if unknown := changes.keys() - FAULTS:
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(sorted(FAULTS))}")
    for name, value in changes.items():
        if name == "errors":
            value = {pattern: OraError(code, text) for pattern, (code, text) in value.items()}
        elif name == "service_s":
            value = {pattern: (low, high) for pattern, (low, high) in value.items()}
        setattr(faults, name, value)


async def execute(server: OracleServer, command: dict[str, Any]) -> dict[str, Any]:
    """Execute one command; returns the answer. Raises ValueError for an unknown command."""
    match command:
        case {"get": "counters"}:
            return vars(server.counters)
        case {"get": "faults"}:
            shown = {name: getattr(server.faults, name) for name in FAULTS}
            return shown | {"errors": {text: str(error) for text, error in server.faults.errors.items()}}
        case {"get": "plant"}:
            return {"rows": len(server.plant.view), "machines": server.plant.machines}
        case {"reset": "counters"}:
            server.counters.reset()
        case {"set": dict(changes)}:
            set_faults(server.faults, changes)
            server.apply_limits()
        case {"listen": True}:
            await server.start_listening()
        case {"listen": False}:
            server.stop_listening()
        case {"drop": "sessions"}:
            server.drop_sessions()
        case {"plant": {"status": [resource_id, status, *reason]}}:
            return {"rows": server.plant.set_status(resource_id, status, *reason)}
        case {"plant": {"rows": int(rows), "machines": int(machines)}}:
            server.plant.resize(rows, machines)
        case {"plant": {"rows": int(rows)}}:
            server.plant.resize(rows)
        case _:
            raise ValueError("unknown command; see the head of hub/simulators/oracle/control.py")
    return {"ok": True}


class ControlPort(AbstractAsyncContextManager["ControlPort"]):
    """Listens on `port` of 127.0.0.1 while it is entered."""

    def __init__(self, server: OracleServer, port: int = 0) -> None:
        self.port = port
        self._server = server
        self._listener: asyncio.Server | None = None

    async def __aenter__(self) -> "ControlPort":
        self._listener = await asyncio.start_server(self._converse, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    reply = await execute(self._server, json.loads(line))
                except (ValueError, TypeError) as error:
                    reply = {"error": str(error)}
                writer.write(json.dumps(reply, ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        finally:
            writer.close()
