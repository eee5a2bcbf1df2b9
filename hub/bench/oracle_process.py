"""The simulated Oracle as a process beside the bench, and its control port."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import SecretStr

from hub.oracle.connection import Account

_START_S = 20.0
_LINE = 1 << 20


class SimulatorUnavailable(RuntimeError):
    """The simulated Oracle needs a package that is not installed."""


class OracleProcess:
    """A running simulated Oracle. `account` logs on to it; `command` sends to its control port."""

    def __init__(self, port: int, control: int) -> None:
        self.account = Account(f"127.0.0.1:{port}/XEPDB1", "reader", SecretStr("secret"), program="hub-bench")
        self._control = control

    async def command(self, command: dict[str, Any]) -> dict[str, Any]:
        """Send a command to the control port, as `hub.simulators.oracle` describes it; returns the reply."""
        async with await anyio.connect_tcp("127.0.0.1", self._control) as stream:
            await stream.send(json.dumps(command).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await BufferedByteReceiveStream(stream).receive_until(b"\n", _LINE))
            return answer

    async def counters(self) -> dict[str, Any]:
        """The counters of the server."""
        return await self.command({"get": "counters"})


@asynccontextmanager
async def open_oracle_process(**options: object) -> AsyncIterator[OracleProcess]:
    """Run `python -m hub.simulators.oracle` with `options` as its arguments. Raises `SimulatorUnavailable`."""
    if find_spec("cryptography") is None:
        raise SimulatorUnavailable("the simulated Oracle needs the package cryptography: pip install cryptography")
    arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "hub.simulators.oracle", *arguments]
    async with await anyio.open_process(command, stderr=None) as process:
        try:
            assert process.stdout is not None
            with anyio.fail_after(_START_S):
                line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", _LINE)
            ports = json.loads(line)
            yield OracleProcess(ports["port"], ports["control"])
        finally:
            process.terminate()
