"""An httpx transport of one HTTP/1.1 connection that is kept open: a thin driver round h11.

httpx's own transport does more and costs more than twice the processor time per request; a hundred alarms at once
have to leave within a tenth of a second beside a thousand meters.
"""

import ssl
from contextlib import AsyncExitStack
from time import monotonic

import anyio
import h11
import httpx
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

_CHUNK = 64 * 1024
_MOST_BODY = 64 * 1024
_IDLE_S = 30.0
_PORTS = {"http": 80, "https": 443}


class KeptConnection(httpx.AsyncBaseTransport):
    """Takes one request at a time, all to the same host. The body of an answer is read up to 64 KiB and dropped.

    Raises OSError (also of TLS) where there is no connection, httpx.RemoteProtocolError for what is no answer.
    Time-outs are the caller's, by cancellation.
    """

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        self._stream: ByteStream | None = None
        self._http = h11.Connection(h11.CLIENT)
        self._idle_since_s = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; where the kept connection turns out to be closed, over a new one."""
        if self._stream is not None:
            if monotonic() < self._idle_since_s + _IDLE_S:
                try:
                    return await self._exchange(self._stream, request)
                except _NoAnswer:
                    pass
            await self.aclose()
        stream = self._stream = await self._open(request)
        self._http = h11.Connection(h11.CLIENT)
        try:
            return await self._exchange(stream, request)
        except _NoAnswer:
            raise httpx.RemoteProtocolError("disconnected without an answer") from None

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await anyio.aclose_forcefully(stream)

    async def _exchange(self, stream: ByteStream, request: httpx.Request) -> httpx.Response:
        is_kept = False
        try:
            response, is_kept = await self._send_and_read(stream, request)
            self._idle_since_s = monotonic()
            return response
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise _NoAnswer from None
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError("not HTTP") from error
        finally:
            if not is_kept:
                await self.aclose()

    async def _send_and_read(self, stream: ByteStream, request: httpx.Request) -> tuple[httpx.Response, bool]:
        """The answer, and whether the connection can take another request."""
        http = self._http
        head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
        parts = (http.send(head), http.send(h11.Data(request.content)), http.send(h11.EndOfMessage()))
        await stream.send(b"".join(part or b"" for part in parts))
        response: httpx.Response | None = None
        read, has_begun = 0, False
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                try:
                    http.receive_data(await stream.receive(_CHUNK))
                    has_begun = True
                except anyio.EndOfStream:
                    if not has_begun:
                        raise _NoAnswer from None
                    http.receive_data(b"")
            elif isinstance(event, h11.Response):
                response = httpx.Response(event.status_code, headers=list(event.headers))
            elif isinstance(event, h11.Data):
                read += len(event.data)
                if read > _MOST_BODY and response is not None:
                    return response, False
            elif isinstance(event, h11.EndOfMessage):
                break
        if response is None:
            raise _NoAnswer
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            return response, False
        http.start_next_cycle()
        return response, True

    async def _open(self, request: httpx.Request) -> ByteStream:
        url = request.url
        stream = await anyio.connect_tcp(url.host, url.port or _PORTS[url.scheme])
        if url.scheme == "http":
            return stream
        name = request.extensions.get("sni_hostname", url.host)
        async with AsyncExitStack() as on_failure:  # a handshake that fails or is given up leaves no socket behind
            on_failure.push_async_callback(anyio.aclose_forcefully, stream)
            wrapped = await TLSStream.wrap(
                stream, hostname=name, ssl_context=self._trusted, standard_compatible=False
            )
            on_failure.pop_all()
            return wrapped


class _NoAnswer(Exception):
    """The connection ended before an answer began."""
