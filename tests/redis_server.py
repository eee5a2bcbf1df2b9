"""Redis for tests: the shared one, a private one that can be stopped, and a slow road to either."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from secrets import token_hex
from urllib.parse import urlsplit

import anyio
import pytest
from anyio.abc import Process, SocketAttribute, SocketStream
from redis.exceptions import RedisError

from hub.cache.redis import RedisClients, open_redis
from tests.free_port import free_port

SHARED = "redis://127.0.0.1:6379/15"


def service_missing(reason: str) -> None:
    """Skip the test, or fail it where services are required."""
    if os.environ.get("HUB_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@asynccontextmanager
async def shared_redis() -> AsyncIterator[RedisClients]:
    """Clients of the shared Redis under a prefix of this test's own, which is emptied afterwards."""
    url = os.environ.get("HUB_TEST_REDIS", SHARED)
    async with open_redis(url, f"test-{token_hex(6)}") as redis:
        try:
            await redis.commands.ping()
        except (RedisError, OSError) as error:
            service_missing(f"no Redis at {urlsplit(url).hostname}: {error}")
        yield redis
        async for key in redis.commands.scan_iter(f"{redis.prefix}:*"):
            await redis.commands.delete(key)


class RedisServer:
    """A redis-server of the test's own, without persistence."""

    def __init__(self, folder: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: Process | None = None

    async def start(self) -> None:
        """Run, and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = await anyio.open_process(
            ["redis-server", *options, "--dir", self._folder], stdout=None, stderr=None, stdin=None
        )
        async with open_redis(self.url) as redis:
            with anyio.fail_after(60):
                while True:
                    try:
                        await redis.commands.ping()
                        return
                    except (RedisError, OSError):
                        await anyio.sleep(0.02)

    async def stop(self) -> None:
        """Kill it, as a power cut would; everything in it is lost."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


@asynccontextmanager
async def private_redis() -> AsyncIterator[RedisServer]:
    """A running `RedisServer` for the block."""
    if shutil.which("redis-server") is None:
        service_missing("redis-server is not installed")
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(folder)
        await server.start()
        try:
            yield server
        finally:
            with anyio.CancelScope(shield=True):
                await server.stop()


async def eventually(question: Callable[[], bool | Awaitable[bool]], within_s: float = 30) -> None:
    """Wait until the answer is yes; for what another process does and does not tell."""
    with anyio.fail_after(within_s):
        while True:
            answer = question()
            if answer if isinstance(answer, bool) else await answer:
                return
            await anyio.sleep(0.01)


class SlowRoad:
    """A TCP proxy that delays each packet from the server by `delay_s`."""

    def __init__(self, port: int) -> None:
        self.delay_s = 0.0
        self.url = ""
        self._port = port

    async def serve(self, client: SocketStream) -> None:
        async with client:
            try:
                server = await anyio.connect_tcp("127.0.0.1", self._port)
            except OSError:
                return
            async with server, anyio.create_task_group() as tasks:
                tasks.start_soon(self._pump, client, server, False)
                await self._pump(server, client, True)
                tasks.cancel_scope.cancel()

    async def _pump(self, source: SocketStream, target: SocketStream, is_slow: bool) -> None:
        try:
            async for data in source:
                if is_slow and self.delay_s:
                    await anyio.sleep(self.delay_s)
                await target.send(data)
            await target.send_eof()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            pass


@asynccontextmanager
async def slow_road_to(port: int) -> AsyncIterator[SlowRoad]:
    """A proxy in front of a local port for the block."""
    road = SlowRoad(port)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        road.url = f"redis://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/0"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, road.serve)
            yield road
            tasks.cancel_scope.cancel()
