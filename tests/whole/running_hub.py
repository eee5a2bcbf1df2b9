"""A hub as its users have it: a process of its own, spoken to by HTTP, WebSocket and signals."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
from httpx_ws import AsyncWebSocketSession, aconnect_ws

T = TypeVar("T")

START_WITHIN_S = 30.0
_LOOK_S = 0.02
_IMPORTED_BEFORE_FORK = ["__main__", "hub.cli", "hub.app.service", "hub.simulators.receiver", "httpx_ws", "uvloop"]


@dataclass(slots=True)
class RunningHub:
    """One `hub run`. `lines` is what it has written to standard output and standard error so far."""

    process: ForkServerProcess
    http: httpx.AsyncClient
    lines: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON of an answer that has this status."""
        answer = await self.http.request(method, path, **options)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def get(self, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON of a GET."""
        return await self.ask("GET", path, status, **options)

    @asynccontextmanager
    async def watch(self, path: str, **options: Any) -> AsyncIterator[AsyncWebSocketSession]:
        """A viewer's WebSocket."""
        session: AsyncWebSocketSession
        async with aconnect_ws(path, self.http, keepalive_ping_interval_seconds=None, **options) as session:
            yield session

    async def is_ready(self) -> bool:
        """True when /readyz says so."""
        try:
            return (await self.http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def ready(self) -> None:
        """Wait until the hub is ready; fails with its log when it ends instead."""
        with anyio.fail_after(START_WITHIN_S):
            while not await self.is_ready():
                assert self.process.is_alive(), "the hub ended: " + "\n".join(self.lines)
                await anyio.sleep(_LOOK_S)

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self.process.pid is not None
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    async def ended(self, within_s: float) -> int:
        """The exit code, once it ends."""
        with anyio.fail_after(within_s):
            await anyio.wait_readable(self.process.sentinel)
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode

    async def stop(self, within_s: float = 30.0) -> int:
        """SIGTERM, and the exit code."""
        self.send(signal.SIGTERM)
        return await self.ended(within_s)

    async def kill(self) -> None:
        """SIGKILL."""
        self.send(signal.SIGKILL)
        await self.ended(START_WITHIN_S)


@asynccontextmanager
async def open_running_hub(config: Path, port: int, sabotage: str | None = None) -> AsyncIterator[RunningHub]:
    """`hub run` on a configuration that listens on this port; killed at the end if it still runs.

    The process is forked from one that has done the imports, which saves more than a second each time.
    `sabotage` is Python that it runs first, to break a part of it.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED_BEFORE_FORK)
    output, written = context.Pipe(duplex=False)
    process = context.Process(target=_hub_run, args=(config, written, sabotage))
    process.start()
    written.close()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as http:
        hub = RunningHub(process, http)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keep_lines, output, hub.lines)
            try:
                yield hub
            finally:
                with anyio.CancelScope(shield=True):
                    if process.is_alive():
                        await hub.kill()
                tasks.cancel_scope.cancel()
    output.close()
    process.close()


def _hub_run(config: Path, output: Connection, sabotage: str | None) -> None:
    """In the process of the hub."""
    from hub.cli import app

    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    os.chdir(config.parent)
    if sabotage is not None:
        exec(sabotage, {})
    app(["run", str(config)])


async def _keep_lines(output: Connection, lines: list[str]) -> None:
    rest = b""
    while True:
        await anyio.wait_readable(output.fileno())
        data = os.read(output.fileno(), 65536)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        lines.extend(line.decode(errors="replace") for line in whole)


async def eventually(look: Callable[[], T], within_s: float = 30.0) -> T:
    """What `look` gives once it is true; asked again and again, as the other side is another process."""
    ends = anyio.current_time() + within_s
    while not (found := look()):
        assert anyio.current_time() < ends, f"not within {within_s:g} s: {found!r}"
        await anyio.sleep(_LOOK_S)
    return found
