"""HTTP/1.1 POST over connections that are kept open: a thin driver round h11, for one URL."""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

import anyio
import h11
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

_CHUNK = 64 * 1024
_MOST_BODY = 64 * 1024
_MOST_IDLE = 8
_IDLE_S = 30.0

Locate = Callable[[str, int], Awaitable[str]]
"""The address to connect to for a host and port. Raises OSError when there is none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer; its body is read up to 64 KiB and dropped."""

    status: int
    headers: Mapping[str, str]  # names in lower case


class NoAnswer(Exception):
    """The connection ended before an answer began."""


class BadAnswer(Exception):
    """What came back is not HTTP, or ended in the middle."""


class Poster:
    """Opens connections as needed and keeps at most eight. Time-outs are the caller's, by cancellation."""

    def __init__(self, url: str, locate: Locate, headers: Mapping[str, str]) -> None:
        """`headers` go with every request. Raises ValueError for a URL or header that cannot be sent."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write the url as https://host/path")
        if parts.username or parts.password:
            raise ValueError("write credentials under headers, as Authorization, not into the url")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._headers = {"host": parts.netloc} | {name.lower(): value for name, value in headers.items()}
        self._locate = locate
        self._idle: list[_Connection] = []
        try:
            self._request({}, b"")
        except (h11.LocalProtocolError, UnicodeError):
            raise ValueError("the url or a header holds a character that HTTP cannot carry") from None

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send once. Raises OSError (also of TLS), NoAnswer, BadAnswer.

        Where a kept connection turns out to be closed, the request goes again over a new one.
        """
        request = self._request(headers, body)
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since_s + _IDLE_S < monotonic():
                await connection.close()
                continue
            try:
                return await self._exchange(connection, request, body)
            except (NoAnswer, OSError):
                break
        return await self._exchange(await self._open(), request, body)

    async def close(self) -> None:
        """Close what is kept open."""
        while self._idle:
            await self._idle.pop().close()

    def _request(self, headers: Mapping[str, str], body: bytes) -> h11.Request:
        fields = [*self._headers.items(), *headers.items(), ("content-length", str(len(body)))]
        return h11.Request(method="POST", target=self._target, headers=fields)

    async def _exchange(self, connection: "_Connection", request: h11.Request, body: bytes) -> Answer:
        is_kept = False
        try:
            answer, is_kept = await connection.exchange(request, body)
            return answer
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise NoAnswer from error
        except h11.RemoteProtocolError as error:
            raise BadAnswer from error
        finally:
            if is_kept and len(self._idle) < _MOST_IDLE:
                connection.idle_since_s = monotonic()
                self._idle.append(connection)
            else:
                await connection.close()

    async def _open(self) -> "_Connection":
        address = await self._locate(self._host, self._port)
        stream: ByteStream = await anyio.connect_tcp(address, self._port)
        if self._tls is not None:
            stream = await TLSStream.wrap(
                stream, hostname=self._host, ssl_context=self._tls, standard_compatible=False
            )
        return _Connection(stream)


class _Connection:
    def __init__(self, stream: ByteStream) -> None:
        self.idle_since_s = 0.0
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def exchange(self, request: h11.Request, body: bytes) -> tuple[Answer, bool]:
        """The answer, and whether the connection can take another request."""
        http = self._http
        parts = (http.send(request), http.send(h11.Data(body)), http.send(h11.EndOfMessage()))
        await self._stream.send(b"".join(part or b"" for part in parts))
        answer, read, has_begun = Answer(0, {}), 0, False
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                try:
                    http.receive_data(await self._stream.receive(_CHUNK))
                    has_begun = True
                except anyio.EndOfStream:
                    if not has_begun:
                        raise NoAnswer from None
                    http.receive_data(b"")
            elif isinstance(event, h11.Response):
                fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                answer = Answer(event.status_code, fields)
            elif isinstance(event, h11.Data):
                read += len(event.data)
                if read > _MOST_BODY:
                    return answer, False
            elif isinstance(event, h11.EndOfMessage):
                break
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            return answer, False
        http.start_next_cycle()
        return answer, True

    async def close(self) -> None:
        await anyio.aclose_forcefully(self._stream)
