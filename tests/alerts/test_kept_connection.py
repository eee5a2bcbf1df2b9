import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from alerts.kept_connection import KeptConnection

pytestmark = pytest.mark.anyio

DONE = b"HTTP/1.1 204 No Content\r\nRetry-After: 9\r\n\r\n"


class Server:
    """Answers each request of a connection with the next of `answers`, then closes it."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.url = ""
        self.connections = 0
        self.requests: list[bytes] = []

    async def serve(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            for answer in self.answers:
                try:
                    self.requests.append(await stream.receive())
                except anyio.EndOfStream:
                    return
                await stream.send(answer)


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[Server, KeptConnection]]:
    server = Server(*answers)
    connection = KeptConnection(ssl.create_default_context())
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.serve)
        server.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/hook?key=a%20b"
        yield server, connection
        await connection.aclose()
        tasks.cancel_scope.cancel()


def request(server: Server) -> httpx.Request:
    return httpx.Request("POST", server.url, headers={"webhook-id": "m1"}, content=b"{}")


async def test_one_connection_serves_many_requests() -> None:
    async with answering(DONE, DONE, DONE) as (server, connection):
        for _ in range(3):
            response = await connection.handle_async_request(request(server))
            assert (response.status_code, response.headers["retry-after"]) == (204, "9")
        assert server.connections == 1
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /hook?key=a%20b HTTP/1.1\r\n")
        assert b"webhook-id: m1" in head.lower()
        assert body == b"{}"


async def test_a_kept_connection_that_was_closed_is_replaced_without_a_loss() -> None:
    async with answering(DONE) as (server, connection):
        for _ in range(2):
            assert (await connection.handle_async_request(request(server))).status_code == 204
        assert server.connections == 2


async def test_a_chunked_answer_keeps_the_connection() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with answering(chunked, DONE) as (server, connection):
        assert (await connection.handle_async_request(request(server))).status_code == 200
        assert (await connection.handle_async_request(request(server))).status_code == 204
        assert server.connections == 1


async def test_an_interim_answer_is_not_the_answer() -> None:
    async with answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + DONE) as (server, connection):
        assert (await connection.handle_async_request(request(server))).status_code == 204


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\ncontent-le", b"hello\r\n\r\n"])
async def test_what_is_no_answer_is_told_and_leaves_no_connection(answer: bytes) -> None:
    async with answering(answer) as (server, connection):
        with pytest.raises(httpx.RemoteProtocolError):
            await connection.handle_async_request(request(server))
        server.answers = (DONE,)
        assert (await connection.handle_async_request(request(server))).status_code == 204


async def test_a_cancelled_request_leaves_no_connection_to_be_confused_by() -> None:
    async with answering(b"", DONE) as (server, connection):
        with anyio.move_on_after(0.05):
            await connection.handle_async_request(request(server))
        server.answers = (DONE,)
        assert (await connection.handle_async_request(request(server))).status_code == 204
        assert server.connections == 2


async def test_a_server_without_tls_is_an_error_and_no_socket_stays() -> None:
    async with answering(b"plain text") as (server, connection):
        server.url = server.url.replace("http://", "https://")
        with pytest.raises(OSError):  # noqa: PT011
            await connection.handle_async_request(request(server))
