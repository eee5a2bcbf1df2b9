"""The other sides of an HTTP sender: servers that answer as told, one of HTTP/2, and a proxy."""

import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import h2.config
import h2.connection
import h2.events
from anyio import aclose_forcefully
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSListener

Handler = Callable[[ByteStream], Awaitable[None]]


@asynccontextmanager
async def open_server(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server that gives each connection to `handler`, over TLS with a `context`."""
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
    listener = plain if context is None else TLSListener(plain, context, standard_compatible=False)

    async def serve(stream: ByteStream) -> None:
        try:
            await handler(stream)
            await stream.aclose()
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            pass  # the other side has gone, as it may
        finally:
            await aclose_forcefully(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield plain.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


def once(text: bytes) -> Handler:
    """Reads a request, answers with `text`, closes."""

    async def handle(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(text)

    return handle


async def keep_answering(stream: ByteStream) -> None:
    """Answers each request with 204."""
    came = b""
    async for data in stream:
        came += data
        head, end, body = came.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\ncontent-length: (\d+)", head)
        if end and length and len(body) >= int(length[1]):
            came = b""
            await stream.send(b"HTTP/1.1 204 No Content\r\n\r\n")


@dataclass(slots=True)
class Http2Requests:
    """What an HTTP/2 server got: headers of each request in order."""

    heads: list[dict[str, str]] = field(default_factory=list)

    async def handle(self, stream: ByteStream) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        await stream.send(connection.data_to_send())
        async for data in stream:
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.heads.append({_text(name): _text(value) for name, value in event.headers or []})
                if isinstance(event, h2.events.StreamEnded) and event.stream_id is not None:
                    connection.send_headers(event.stream_id, [(":status", "202")], end_stream=True)
            await stream.send(connection.data_to_send())


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@dataclass(slots=True)
class Proxy:
    """A proxy for `http:` by forwarding and for `https:` by CONNECT; `asked` has the first line of each request.

    It connects to this machine whatever host is asked for, as a proxy with names of its own does.
    """

    asked: list[str] = field(default_factory=list)

    async def handle(self, stream: ByteStream) -> None:
        head = await stream.receive()
        line = head.partition(b"\r\n")[0].decode("latin-1")
        self.asked.append(line)
        method, target, _ = line.split(" ")
        authority = target if method == "CONNECT" else target.split("/")[2]
        port = int(authority.rpartition(":")[2])
        async with await anyio.connect_tcp("127.0.0.1", port) as behind, anyio.create_task_group() as tasks:
            if method == "CONNECT":
                await stream.send(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                await behind.send(head)
            tasks.start_soon(_pump, behind, stream)
            await _pump(stream, behind)
            tasks.cancel_scope.cancel()


async def _pump(source: ByteStream | SocketStream, sink: ByteStream | SocketStream) -> None:
    try:
        async for data in source:
            await sink.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return
