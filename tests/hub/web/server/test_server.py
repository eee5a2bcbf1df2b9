"""The server: ports in use, slow viewers, and the order of its stop."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from hub.web.http import stream
from hub.web.routes import live
from hub.web.routes.app import create_app
from hub.web.server import server
from hub.web.server.server import Server, bind, url_of
from tests.hub.web.parts import Site, serving, until
from tests.hub.web.routes.test_live import close_code, receive

pytestmark = pytest.mark.anyio


async def test_a_port_in_use_is_an_error_before_anything_runs() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", taken.getsockname()[1])


async def test_ipv6_can_be_listened_on() -> None:
    with bind("::1", 0) as listening:
        assert listening.family is socket.AF_INET6
        assert url_of(listening) == f"http://[::1]:{listening.getsockname()[1]}"


async def test_stopping_ends_the_streams_and_frees_the_port(site: Site) -> None:
    async with serving(site) as at:
        first = await connect(f"ws://{at}/api/live")
        second = await connect(f"ws://{at}/api/units/gate-a/live")
        await receive(first)
        await receive(second)
        before = anyio.current_time()
    assert anyio.current_time() - before < 3
    assert await close_code(first) == 1012
    assert await close_code(second) == 1012
    await until(lambda: site.parts.units["gate-a"].viewers == 0)
    host, _, port = at.partition(":")
    bind(host, int(port)).close()


async def test_a_cancelled_server_ends_in_order(site: Site) -> None:
    with bind("127.0.0.1", 0) as listening:
        at = "{}:{}".format(*listening.getsockname())
        running = Server(create_app(site.parts), listening)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.run)
            websocket = await connect(f"ws://{at}/api/live")
            await receive(websocket)
            tasks.cancel_scope.cancel()
    assert await close_code(websocket) == 1012


async def test_an_answer_under_way_is_finished(site: Site) -> None:
    site.links["gate-a"].latency_s = 0.5
    async with anyio.create_task_group() as tasks, httpx.AsyncClient() as client:
        statuses = []

        async def ask(at: str) -> None:
            statuses.append((await client.post(f"http://{at}/api/units/gate-a/poll")).status_code)

        async with serving(site) as at:
            tasks.start_soon(ask, at)
            await until(lambda: bool(site.links["gate-a"].asked))
        await until(lambda: bool(statuses))
    assert statuses == [200]


async def test_a_server_that_was_never_run_can_be_stopped(site: Site) -> None:
    with bind("127.0.0.1", 0) as listening:
        await Server(create_app(site.parts), listening).stop()


@asynccontextmanager
async def deaf_viewer(at: str, path: str) -> AsyncIterator[socket.socket]:
    """A viewer that says hello and then does not read."""
    host, _, port = at.partition(":")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        async with await anyio.connect_tcp(host, int(port)):
            pass
        await anyio.to_thread.run_sync(connect_blocking, deaf, host, int(port), path)
        yield deaf


def connect_blocking(deaf: socket.socket, host: str, port: int, path: str) -> None:
    deaf.settimeout(5)
    deaf.connect((host, port))
    deaf.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )


def read_all(deaf: socket.socket) -> bytes:
    received = b""
    while piece := deaf.recv(65536):
        received += piece
    return received


async def test_a_viewer_that_does_not_answer_pings_is_closed_with_1013(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_PING_S", 0.05)
    monkeypatch.setattr(server, "SEND_S", 0.1)
    async with serving(site) as at, deaf_viewer(at, "/api/units/gate-a/live") as deaf:
        await until(lambda: site.parts.units["gate-a"].viewers == 1)
        await until(lambda: site.parts.units["gate-a"].viewers == 0)
        received = await anyio.to_thread.run_sync(read_all, deaf)
    assert (1013).to_bytes(2, "big") + b"nothing was read" in received


async def test_a_viewer_that_never_reads_is_closed_and_stalls_no_other(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SEND_S", 0.3)
    monkeypatch.setattr(live, "QUEUE", 8)
    unit = site.parts.units["gate-a"]
    async with (
        serving(site) as at,
        deaf_viewer(at, "/api/units/gate-a/live"),
        connect(f"ws://{at}/api/units/gate-a/live") as quick,
    ):
        await until(lambda: unit.viewers == 2)
        seen = (await receive(quick))["sequence"] or 0
        with anyio.fail_after(60):
            while unit.viewers == 2:
                await site.poll(times=20)
                while seen < unit.next_sequence - 1:
                    seen = (await receive(quick))["sequence"]
        assert unit.fanout.dropped > 0
        await site.poll()
        assert (await receive(quick))["sequence"] == seen + 1


async def test_a_crashed_server_is_not_reported_as_serving(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*of: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(server.Server, "_sweep", crash)
    with bind("127.0.0.1", 0) as listening:
        running = Server(create_app(site.parts), listening)
        with pytest.raises(ExceptionGroup):
            await running.run()
        with pytest.raises(RuntimeError, match="cannot be started again"):
            await running.run()
