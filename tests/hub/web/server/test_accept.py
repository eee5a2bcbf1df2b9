"""Among many real connections complete requests are answered, idle connections are evicted, nothing crashes."""

import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from hub.web.routes.app import create_app
from hub.web.server import connections, server
from hub.web.server.connections import Connections
from hub.web.server.server import Server, bind
from tests.hub.web.parts import Site, until
from tests.hub.web.routes.test_live import close_code

pytestmark = pytest.mark.anyio

READY = b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
HEAD = b"POST /api/login HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{"


@asynccontextmanager
async def limited(site: Site, limit: int) -> AsyncIterator[tuple[str, Connections, list[str | None]]]:
    """A server with at most `limit` connections: its address, its connections, and the overloads it reported."""
    table, reported = Connections(limit), list[str | None]()
    with bind("127.0.0.1", 0) as listening:
        host, port = listening.getsockname()
        running = Server(create_app(site.parts, table), listening, table, reported.append)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.run)
            try:
                yield f"{host}:{port}", table, reported
            finally:
                await running.stop()


@contextmanager
def opened(at: str, count: int, first: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open `count` connections that send `first` and then nothing."""
    host, _, port = at.partition(":")
    with ExitStack() as stack:
        sockets = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setblocking(True)
            connection.connect((host, int(port)))
            if first:
                connection.send(first)
            sockets.append(connection)
        yield sockets


async def in_thread(stack: ExitStack, at: str, count: int, first: bytes = b"") -> list[socket.socket]:
    return await anyio.to_thread.run_sync(lambda: stack.enter_context(opened(at, count, first)))


@pytest.mark.parametrize("first", [b"", b"GET /livez HT", HEAD])
async def test_health_answers_among_connections_that_never_finish_a_request(site: Site, first: bytes) -> None:
    async with limited(site, 20) as (at, table, reported):
        with ExitStack() as stack:
            await in_thread(stack, at, 60, first)
            async with httpx.AsyncClient(base_url=f"http://{at}") as client:
                for path in ("/livez", "/readyz", "/healthz"):
                    assert (await client.get(path)).status_code == 200
            await until(lambda: bool(reported))
            assert len(table) <= 20
            assert reported[0] is not None
            assert "connections from 127.0.0.1" in reported[0]
        assert len(reported) == 1


async def test_a_complete_request_is_answered_though_many_connections_follow_it(site: Site) -> None:
    async with limited(site, 20) as (at, _, _reported):
        with opened(at, 1, READY) as [one], opened(at, 60):  # before the server accepts the first one
            one.settimeout(30)
            answer = await anyio.to_thread.run_sync(one.recv, 65536)
    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_request_is_answered_though_many_connections_come_between_its_connection_and_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_GRACE_S", 5.0)
    async with limited(site, 20) as (at, table, _):
        with opened(at, 1) as [one], opened(at, 60):
            await until(lambda: table.counts.accepted > 0)
            one.send(READY)
            one.settimeout(30)
            answer = await anyio.to_thread.run_sync(one.recv, 65536)
    assert answer.startswith(b"HTTP/1.1 200")


async def test_slots_are_free_again_after_their_connections_are_closed(site: Site) -> None:
    async with limited(site, 20) as (at, table, _):
        with ExitStack() as stack:
            await in_thread(stack, at, 60)
        await until(lambda: len(table) == 0)
        assert table._waiting == {}


@pytest.mark.parametrize("first", [b"", b"GET /livez HT", HEAD, b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"])
async def test_a_connection_that_makes_no_progress_is_closed(
    site: Site, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_LIMITS_S", dict.fromkeys(connections._LIMITS_S, 0.3))
    monkeypatch.setattr(server, "_SWEEP_S", 0.05)
    async with limited(site, 20) as (at, table, _):
        with ExitStack() as stack:
            [one] = await in_thread(stack, at, 1, first)
            await until(lambda: table.counts.timed_out == 1)
            await until(lambda: len(table) == 0)
            one.settimeout(5)
            while await anyio.to_thread.run_sync(one.recv, 65536):
                pass


async def test_a_download_that_is_not_read_is_aborted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALLED_S", 0.3)
    monkeypatch.setattr(server, "_SWEEP_S", 0.05)
    async with limited(site, 20) as (at, table, _):
        with ExitStack() as stack:
            ask = b"GET /openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
            host, _, port = at.partition(":")
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await anyio.to_thread.run_sync(one.connect, (host, int(port)))
            await anyio.to_thread.run_sync(one.sendall, ask * 200)
            await until(lambda: table.counts.stalled == 1)
            await until(lambda: len(table) == 0)


async def test_without_a_descriptor_for_another_connection_the_server_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [errno.EMFILE, errno.ENFILE, errno.ECONNABORTED, errno.ENOMEM]
    accept = socket.socket.accept

    def failing(listening: socket.socket) -> tuple[socket.socket, object]:
        if refusals:
            raise OSError(refusals.pop(), "no descriptor")
        return accept(listening)

    async with limited(site, 20) as (at, _, _reported):
        monkeypatch.setattr(socket.socket, "accept", failing)
        async with httpx.AsyncClient(base_url=f"http://{at}") as client:
            assert (await client.get("/livez")).status_code == 200
        assert not refusals


async def test_a_slow_response_does_not_time_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LIMITS_S", dict.fromkeys(connections._LIMITS_S, 0.2))
    monkeypatch.setattr(server, "_SWEEP_S", 0.05)
    site.links["gate-a"].latency_s = 1.0
    async with limited(site, 20) as (at, _, _reported), httpx.AsyncClient(base_url=f"http://{at}") as client:
        assert (await client.post("/api/units/gate-a/poll")).status_code == 200


async def test_while_most_slots_are_served_only_health_is_answered(site: Site) -> None:
    async with limited(site, 8) as (at, table, _), httpx.AsyncClient(base_url=f"http://{at}") as client:
        async with AsyncExitStack() as stack:
            for _ in range(6):  # a seventh would be more than three quarters of eight
                await stack.enter_async_context(connect(f"ws://{at}/api/live"))
            refused = await client.get("/api/units")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            for path in ("/livez", "/readyz", "/healthz"):
                assert (await client.get(path)).status_code == 200
            async with connect(f"ws://{at}/api/live") as viewer:
                assert await close_code(viewer) == 1013
        await until(lambda: len(table) <= 1)
        assert (await client.get("/api/units")).status_code == 200


async def test_evicted_connections_are_counted(site: Site) -> None:
    async with limited(site, 20) as (at, table, _):
        with ExitStack() as stack:
            await in_thread(stack, at, 60)
            await until(lambda: table.counts.accepted == 60)
            async with httpx.AsyncClient(base_url=f"http://{at}") as client:
                text = (await client.get("/metrics")).text
    assert "hub_connections 10.0" in text
    assert "hub_connections_limit 20.0" in text
    assert "hub_connections_accepted_total 61.0" in text
    assert 'hub_connections_closed_total{why="made_room"} 51.0' in text
    assert "hub_connections_refused_total 0.0" in text


async def test_refused_streams_hold_no_slot(guarded: Site) -> None:
    async with limited(guarded, 8) as (at, table, _):
        with ExitStack() as stack:
            head = f"GET /api/live HTTP/1.1\r\nHost: {at}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            head += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            refused = await in_thread(stack, at, 30, head.encode())
            async with httpx.AsyncClient(base_url=f"http://{at}") as client:
                assert (await client.get("/livez")).status_code == 200
                assert (await client.get("/api/units")).status_code == 401
            assert not table.is_busy
            assert len(table) <= 8
            assert len(refused) == 30
