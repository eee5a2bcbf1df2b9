"""A hub as its users have it: a process of its own, spoken to by HTTP, WebSocket and signals."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream
from httpx_ws import AsyncWebSocketSession, aconnect_ws

T = TypeVar("T")

ROOT = Path(__file__).parent.parent.parent
START_WITHIN_S = 30.0
_LOOK_S = 0.02


@dataclass(slots=True)
class RunningHub:
    """One `hub run`. `lines` is what it has written to standard output and standard error so far."""

    process: Process
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
                assert self.process.returncode is None, "the hub ended: " + "\n".join(self.lines)
                await anyio.sleep(_LOOK_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def ended(self, within_s: float) -> int:
        """The exit code, once it ends."""
        with anyio.fail_after(within_s):
            return await self.process.wait()

    async def stop(self, within_s: float = 5.0) -> int:
        """SIGTERM, and the exit code."""
        self.send(signal.SIGTERM)
        return await self.ended(within_s)

    async def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def open_running_hub(config: Path, port: int, sabotage: str | None = None) -> AsyncIterator[RunningHub]:
    """`hub run` on a configuration that listens on this port; killed at the end if it still runs.

    `sabotage` is Python that the process runs first, to break a part of it.
    """
    hub_command = ["-m", "hub"] if sabotage is None else ["-c", f"{sabotage}\nfrom hub.cli import main\nmain()"]
    process = await anyio.open_process(
        [sys.executable, *hub_command, "run", str(config)],
        cwd=config.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stderr=subprocess.STDOUT,
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as http:
        hub = RunningHub(process, http)
        assert process.stdout is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keep_lines, process.stdout, hub.lines)
            try:
                yield hub
            finally:
                with anyio.CancelScope(shield=True):
                    if process.returncode is None:
                        await hub.kill()
                    tasks.cancel_scope.cancel()
                    await process.aclose()


async def _keep_lines(stream: ByteReceiveStream, lines: list[str]) -> None:
    rest = ""
    async for text in TextReceiveStream(stream, errors="replace"):
        *whole, rest = (rest + text).split("\n")
        lines.extend(whole)
    if rest:
        lines.append(rest)


async def eventually(look: Callable[[], T], within_s: float = 5.0) -> T:
    """What `look` gives once it is true; asked again and again, as the other side is another process."""
    ends = anyio.current_time() + within_s
    while not (found := look()):
        assert anyio.current_time() < ends, f"not within {within_s:g} s: {found!r}"
        await anyio.sleep(_LOOK_S)
    return found
