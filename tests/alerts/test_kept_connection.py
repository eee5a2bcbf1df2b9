import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from alerts.kept_connection import Address, Answer, KeptConnection, NotAnswered, NotHttp

pytestmark = pytest.mark.anyio

DONE = b"HTTP/1.1 204 No Content\r\nRetry-After: 9\r\n\r\n"


class Server:
    """Answers each request of a connection with the next of `answers`, then closes it."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.address = Address("127.0.0.1", 0, None)
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
        tasks.start_soon(listener.serve, lambda stream: server.serve(stream))
        server.address = Address("127.0.0.1", listener.extra(SocketAttribute.local_port), None)
        yield server, connection
        await connection.aclose()
        tasks.cancel_scope.cancel()


REQUEST = b"POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"


async def test_one_connection_serves_many_requests() -> None:
    async with answering(DONE, DONE, DONE) as (server, connection):
        for _ in range(3):
            assert await connection.exchange(server.address, REQUEST) == Answer(204, "9")
        assert server.connections == 1
        assert server.requests == [REQUEST] * 3


async def test_a_kept_connection_that_was_closed_is_replaced_without_a_loss() -> None:
    async with answering(DONE) as (server, connection):
        for _ in range(2):
            assert (await connection.exchange(server.address, REQUEST)).status == 204
        assert server.connections == 2


async def test_a_chunked_answer_keeps_the_connection() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with answering(chunked, DONE) as (server, connection):
        assert (await connection.exchange(server.address, REQUEST)).status == 200
        assert (await connection.exchange(server.address, REQUEST)).status == 204
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 429 Slow\nRetry-After: 9\nContent-Length: 2\n\nok",
        b"HTTP/1.1 429 Slow\r\nRetry-After: 9\nContent-Length: 2\n\r\nok",
        b"HTTP/1.1 429\nRetry-After: 9\nTransfer-Encoding: chunked\n\n2\r\nok\r\n0\r\n\r\n",
    ],
)
async def test_an_answer_whose_lines_end_with_a_bare_lf_is_an_answer(answer: bytes) -> None:
    async with answering(answer, DONE) as (server, connection):
        assert await connection.exchange(server.address, REQUEST) == Answer(429, "9", b"ok")
        assert (await connection.exchange(server.address, REQUEST)).status == 204
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\rContent-Length: 0\r\r",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nbroken\n\n",
    ],
)
async def test_the_status_counts_where_the_rest_of_the_head_cannot_be_read(answer: bytes) -> None:
    async with answering(answer) as (server, connection):
        assert (await connection.exchange(server.address, REQUEST)).status == 200


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 20", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Go\r\nx\r\n\r\n"]
)
async def test_an_answer_without_a_final_status_is_none(answer: bytes) -> None:
    async with answering(answer) as (server, connection):
        with pytest.raises(NotHttp):
            await connection.exchange(server.address, REQUEST)


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK\r\nConnection: close"])
async def test_an_answer_that_ends_with_its_connection_is_an_answer(head: bytes) -> None:
    async with answering(head + b"\r\n\r\nthank you") as (server, connection):
        for _ in range(2):
            assert (await connection.exchange(server.address, REQUEST)).status == 200
        assert server.connections == 2


async def test_an_interim_answer_is_not_the_answer() -> None:
    async with answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + DONE) as (server, connection):
        assert (await connection.exchange(server.address, REQUEST)).status == 204


async def test_a_second_answer_nobody_asked_for_is_not_taken_for_the_next() -> None:
    async with answering(DONE + b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", DONE) as (server, connection):
        for _ in range(2):
            assert (await connection.exchange(server.address, REQUEST)).status == 204
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"hello\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_told_and_leaves_no_connection(answer: bytes) -> None:
    async with answering(answer) as (server, connection):
        with pytest.raises(NotHttp):
            await connection.exchange(server.address, REQUEST)
        server.answers = (DONE,)
        assert (await connection.exchange(server.address, REQUEST)).status == 204


async def test_a_server_that_never_answers_is_told() -> None:
    async with answering() as (server, connection):
        with pytest.raises(NotAnswered):
            await connection.exchange(server.address, REQUEST)


async def test_a_cancelled_request_leaves_no_connection_to_be_confused_by() -> None:
    async with answering(b"", DONE) as (server, connection):
        with anyio.move_on_after(0.05):
            await connection.exchange(server.address, REQUEST)
        server.answers = (DONE,)
        assert (await connection.exchange(server.address, REQUEST)).status == 204
        assert server.connections == 2


async def test_a_server_without_tls_is_an_error_and_no_socket_stays() -> None:
    async with answering(b"plain text") as (server, connection):
        with pytest.raises(OSError):  # noqa: PT011
            await connection.exchange(server.address._replace(tls_name="localhost"), REQUEST)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok and more",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nthat is no chunk",
    ],
)
async def test_what_is_wrong_behind_the_head_of_an_answer_does_not_undo_it(answer: bytes) -> None:
    async with answering(answer, DONE) as (server, connection):
        assert (await connection.exchange(server.address, REQUEST)).status in (200, 204)
        server.answers = (DONE,)
        assert (await connection.exchange(server.address, REQUEST)).status == 204
        assert server.connections == 2


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\ncontent-length: 9"])
async def test_a_body_that_does_not_end_does_not_undo_its_head(
    head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.kept_connection._BODY_S", 0.05)
    async with answering(head + b"\r\n\r\nok", b"") as (server, connection):
        with anyio.fail_after(60):
            assert (await connection.exchange(server.address, REQUEST)).status == 200
        server.answers = (DONE,)
        assert (await connection.exchange(server.address, REQUEST)).status == 204
        assert server.connections == 2


async def test_an_answer_whose_connection_is_reset_is_an_answer() -> None:
    async def reset(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\nthank you")
        await anyio.sleep(0.05)
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(stream)

    async with answering() as (server, connection):
        server.serve = reset  # type: ignore[method-assign]
        assert (await connection.exchange(server.address, REQUEST)).status == 200


async def test_what_an_idle_server_says_is_not_the_answer_to_the_next_request() -> None:
    unasked = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"
    said = anyio.Event()

    async def serve(stream: SocketStream) -> None:
        server.connections += 1
        async with stream:
            server.requests.append(await stream.receive())
            await stream.send(DONE)
            if server.connections == 1:
                await anyio.sleep(0.02)
                await stream.send(unasked)
                said.set()
            await anyio.sleep(1)

    async with answering() as (server, connection):
        server.serve = serve  # type: ignore[method-assign]
        assert (await connection.exchange(server.address, REQUEST)).status == 204
        await said.wait()
        assert (await connection.exchange(server.address, REQUEST)).status == 204
        assert server.requests == [REQUEST] * 2
