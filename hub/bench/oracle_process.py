"""The test Oracle of a checkout, as a process beside the bench, and its control port."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream
from pydantic import SecretStr

import hub
from hub.oracle.connection import Account

_START_S = 20.0
_LINE = 1 << 20


class NoCheckout(RuntimeError):
    """The test Oracle is part of the tests, which are not installed with the product."""


class OracleProcess:
    """A running test Oracle. `account` logs on to it; `order` speaks to its control port."""

    def __init__(self, port: int, control: int) -> None:
        self.account = Account(f"127.0.0.1:{port}/XEPDB1", "reader", SecretStr("secret"), program="hub-bench")
        self._control = control

    async def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """One order, as described in the control port's own file, and what it answers."""
        async with await anyio.connect_tcp("127.0.0.1", self._control) as stream:
            await stream.send(json.dumps(order).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await BufferedByteReceiveStream(stream).receive_until(b"\n", _LINE))
            return answer

    async def counters(self) -> dict[str, Any]:
        """What the server has counted."""
        return await self.order({"get": "counters"})


@asynccontextmanager
async def open_oracle_process(**options: object) -> AsyncIterator[OracleProcess]:
    """`python -m tests.oracle_wire` with `options` as its command line. Raises `NoCheckout`."""
    root = Path(hub.__file__).parent.parent
    if not (root / "tests" / "oracle_wire" / "__main__.py").exists() or find_spec("cryptography") is None:
        raise NoCheckout("the test Oracle is not here: run this in a checkout, with the extra `test` installed")
    arguments = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "tests.oracle_wire", *arguments]
    async with await anyio.open_process(command, cwd=root, stderr=None) as process:
        try:
            assert process.stdout is not None
            with anyio.fail_after(_START_S):
                line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", _LINE)
            ports = json.loads(line)
            yield OracleProcess(ports["port"], ports["control"])
        finally:
            process.terminate()
