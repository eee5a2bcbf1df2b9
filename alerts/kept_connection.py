"""One HTTP/1.1 connection that is kept open: a thin driver round the parser of httptools.

A general client does more and costs several times the processor time per request; a hundred alarms at once have to
leave within a tenth of a second beside a thousand meters.
"""

import select
import ssl
from contextlib import AsyncExitStack
from time import monotonic
from typing import NamedTuple

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from alerts.excerpt import MOST_BYTES

_CHUNK = 64 * 1024
_MOST_BYTES = 64 * 1024
_IDLE_S = 30.0
_BODY_S = 1.0  # the answer is in its head; the rest is read for the sake of the connection


class Address(NamedTuple):
    """Where to connect to; `tls_name` is whom the certificate has to name, None for plain TCP."""

    host: str
    port: int
    tls_name: str | None


class Answer(NamedTuple):
    """What counts of an answer: its status, its Retry-After header as it came, and the beginning of its body."""

    status: int
    retry_after: str | None
    body: bytes = b""


class NotAnswered(Exception):
    """The connection ended before an answer came."""


class NotHttp(Exception):
    """What came is no answer in HTTP/1."""


class KeptConnection:
    """Takes one request at a time, all to the same server. The body of an answer is read up to 64 KiB, for a
    second at most; its first 4 KiB are kept.

    Raises OSError (also of TLS) where there is no connection, NotAnswered, NotHttp. Time-outs are the caller's, by
    cancellation.
    """

    def __init__(self, trusted: ssl.SSLContext | None) -> None:
        self._trusted = trusted
        self._stream: ByteStream | None = None
        self._idle_since_s = 0.0

    async def exchange(self, address: Address, request: bytes) -> Answer:
        """Send a whole request; where the kept connection turns out to be closed, over a new one."""
        if self._stream is not None:
            if monotonic() < self._idle_since_s + _IDLE_S and not _has_news(self._stream):
                try:
                    return await self._exchange(self._stream, request)
                except NotAnswered:
                    pass
            await self.aclose()
        self._stream = await self._open(address)
        return await self._exchange(self._stream, request)

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await anyio.aclose_forcefully(stream)

    async def _exchange(self, stream: ByteStream, request: bytes) -> Answer:
        reading = _Reading()
        try:
            await stream.send(request)
            while reading.status is None and not reading.is_over:
                reading.feed(await stream.receive(_CHUNK))
            if not reading.is_over:
                with anyio.move_on_after(_BODY_S):
                    while not reading.is_over:
                        reading.feed(await stream.receive(_CHUNK))
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            if not reading.has_begun:
                raise NotAnswered from None
        finally:
            if reading.is_over and reading.can_be_kept:
                self._idle_since_s = monotonic()
            else:
                await self.aclose()
        if reading.status is None:
            raise NotHttp("the answer broke off")
        return Answer(reading.status, reading.retry_after, bytes(reading.body))

    async def _open(self, address: Address) -> ByteStream:
        stream = await anyio.connect_tcp(address.host, address.port)
        if address.tls_name is None:
            return stream
        async with AsyncExitStack() as on_failure:  # a handshake that fails or is given up leaves no socket behind
            on_failure.push_async_callback(anyio.aclose_forcefully, stream)
            wrapped = await TLSStream.wrap(
                stream, hostname=address.tls_name, ssl_context=self._trusted, standard_compatible=False
            )
            on_failure.pop_all()
            return wrapped


def _has_news(stream: ByteStream) -> bool:
    """Whether a server that was asked nothing has spoken or hung up: it would pass for the next answer."""
    poll = select.poll()
    poll.register(stream.extra(SocketAttribute.raw_socket).fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Reading:
    """An answer as it comes in; the `on_` methods are called by the parser."""

    def __init__(self) -> None:
        self.status: int | None = None  # once the head is complete
        self.retry_after: str | None = None
        self.body = bytearray()
        self.has_begun = False
        self.is_over = False
        self.can_be_kept = False
        self._bytes = 0
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)  # RFC 9112 section 2.2 allows it

    def feed(self, data: bytes) -> None:
        """Raises NotHttp."""
        self.has_begun = True
        self._bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            status = self._parser.get_status_code()
            if self.status is None and 200 <= status <= 599:  # answered, though the rest of the head is unreadable
                self.status = status
            if self.status is None:
                raise NotHttp(str(error)) from error
            self.is_over, self.can_be_kept = True, False  # it was answered, whatever is wrong behind the head
        if self._bytes > _MOST_BYTES and not self.is_over:
            self.is_over, self.can_be_kept = True, False

    def on_message_begin(self) -> None:
        if self.is_over:  # nobody asked for a second one
            self.can_be_kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after":
            self.retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and not self.is_over:  # else it is an interim answer
            self.status = status

    def on_body(self, data: bytes) -> None:
        self.body += data[: MOST_BYTES - len(self.body)]

    def on_message_complete(self) -> None:
        if self.status is not None and not self.is_over:
            self.is_over, self.can_be_kept = True, self._parser.should_keep_alive()
