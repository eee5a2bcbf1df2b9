"""Sends bodies to one receiver over HTTP, with httpx: proxies, a private CA, client certificates, HTTP/2.

Invariants:
- One `send` is one POST. It is repeated only on a connection that had answered before and was closed by the other
  side before a byte of this answer came, and then once, over a new one.
- Each POST under way has a connection to itself, and the one used last is used next: a pool would look at all of
  its connections for every request, which costs a quarter of the processor time of a POST.
- The address that `allow_private: false` has checked is the one that is connected to. Behind a proxy it is the
  proxy that connects, to the name: then the addresses that our own resolver gives are checked before.
- Nothing is kept between two posts but connections: no cookies, no redirects, no credentials from the environment.
"""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from alerts.config.trust import ClientCertificate, client_context
from alerts.model.addresses import is_loopback, is_public

_IDLE_S = 60.0  # a second alarm soon after the first needs no new handshake
_MOST_READ = 64 * 1024
_LIMITS = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_IDLE_S)


class Answer(NamedTuple):
    """What the receiver answered. `body` holds its first 64 KiB at most."""

    status: int
    headers: httpx.Headers
    body: bytes


class NotSent(Exception):
    """No answer came; the message names the stage, never an address, a URL or a body."""


class Sender:
    """POSTs to one URL. An async context manager that closes its connections.

    Raises ValueError, without secrets, for a URL that cannot be used; entering it does for a file that cannot.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 15.0,
        allow_private: bool = True,
        proxy: str | None = None,
        ca_file: Path | None = None,
        client_cert: ClientCertificate | None = None,
    ) -> None:
        """`proxy` None takes the environment's HTTPS_PROXY, HTTP_PROXY and NO_PROXY; "" takes none."""
        self._url = usable_url(url)
        self._timeout_s = timeout_s
        self._must_be_public = not allow_private
        self._proxy = environment_proxy(self._url) if proxy is None else proxy
        self._context = partial(client_context, ca_file, client_cert)
        self._open: Callable[[], _Connection] | None = None
        self._connections: list[_Connection] = []
        self._unused: list[_Connection] = []

    async def __aenter__(self) -> Self:
        is_proxy_tls = self._proxy.startswith("https:")
        has_tls = is_proxy_tls or self._url.scheme == "https"
        trusted = self._context() if has_tls else None
        proxy = httpx.Proxy(self._proxy, ssl_context=trusted if is_proxy_tls else None) if self._proxy else None
        self._open = partial(_Connection, trusted, proxy)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open = None  # its certificates are 0.7 MB
        connections, self._connections, self._unused = self._connections, [], []
        with anyio.move_on_after(1, shield=True):
            for connection in connections:
                await connection.close()

    async def send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST `body`. Raises NotSent where no complete head of an answer comes within the time-out."""
        with anyio.move_on_after(self._timeout_s):
            try:
                return await self._send(headers, body)
            except (httpx.TransportError, OSError) as error:
                raise NotSent(reason_of(error)) from error
        raise NotSent(f"no answer within {self._timeout_s:g} s")

    async def _send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        if not self._must_be_public:
            return await self._post(self._url, headers, body)
        addresses = await public_addresses(self._url.host, self._url.port or _PORTS[self._url.scheme])
        if self._proxy:
            return await self._post(self._url, headers, body)
        for address in addresses[:-1]:
            try:
                return await self._post(self._url.copy_with(host=address), headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post(self._url.copy_with(host=addresses[-1]), headers, body)

    async def _post(self, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> Answer:
        assert self._open is not None, "a sender sends while its block lasts"
        if not self._unused:
            self._unused.append(self._open())
            self._connections.append(self._unused[-1])
        connection = self._unused.pop()
        request = httpx.Request(
            "POST",
            url,
            headers=[(b"host", self._url.netloc), *_encoded(headers)],
            content=body,
            extensions={"sni_hostname": self._url.host},
        )
        try:
            return await connection.send(request)
        finally:
            self._unused.append(connection)


def _encoded(headers: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers.items():
        yield name.encode("ascii"), value.encode("latin-1")


class _Connection:
    """One connection to the receiver, opened at the first request and kept between two."""

    def __init__(self, trusted: ssl.SSLContext | None, proxy: httpx.Proxy | None) -> None:
        self._transport = httpx.AsyncHTTPTransport(
            verify=trusted or False, trust_env=False, http2=trusted is not None, limits=_LIMITS, proxy=proxy
        )
        self._has_answered = False

    async def send(self, request: httpx.Request) -> Answer:
        """Raises httpx.TransportError."""
        try:
            response = await self._transport.handle_async_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError) as error:
            if not (self._has_answered and is_closed_unanswered(error)):
                raise
            self._has_answered = False
            response = await self._transport.handle_async_request(request)
        self._has_answered = True
        return await _answer(response)

    async def close(self) -> None:
        await self._transport.aclose()


async def _answer(response: httpx.Response) -> Answer:
    """An answer counts once its head is complete, whatever becomes of its body."""
    body = bytearray()
    try:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for chunk in response.stream:
            body += chunk
            if len(body) >= _MOST_READ:
                break
    except httpx.TransportError:
        pass
    finally:
        with anyio.move_on_after(1, shield=True):
            await response.aclose()
    return Answer(response.status_code, response.headers, bytes(body[:_MOST_READ]))


_PORTS = {"http": 80, "https": 443}


def usable_url(text: str) -> httpx.URL:
    """The URL of a receiver. Raises ValueError with what to write instead."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("the url holds a character that HTTP cannot carry") from None
    if url.scheme not in _PORTS or not url.host:
        raise ValueError("write the url as https://host/path")
    if url.userinfo:
        raise ValueError("write credentials under headers, as Authorization, not into the url")
    return url


def environment_proxy(url: httpx.URL) -> str:
    """The proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names for `url`; "" for none, NO_PROXY or loopback."""
    if is_loopback(url.host):
        return ""  # no proxy reaches the receiver on this machine
    if proxy_bypass(f"{url.host}:{url.port}" if url.port else url.host) or proxy_bypass(url.host):
        return ""
    proxies = getproxies()
    return proxies.get(url.scheme) or proxies.get("all") or ""


class PrivateAddress(OSError):
    """The host resolves to an address that `allow_private: false` refuses."""


async def public_addresses(host: str, port: int) -> list[str]:
    """All addresses of `host`, once all are public. Raises PrivateAddress, socket.gaierror."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(is_public(address) for address in addresses):
        raise PrivateAddress
    return addresses


def is_closed_unanswered(error: BaseException) -> bool:
    """True where the other side closed the connection before a byte of its answer."""
    return reason_of(error) == _CLOSED


_CLOSED = "closed without an answer"


def reason_of(error: BaseException) -> str:
    """What went wrong, in words that hold no address: the first cause that says something."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case PrivateAddress():
                return "private address, and allow_private is false"
            case ConnectionRefusedError():
                return "refused"
            case ssl.SSLCertVerificationError():
                return "certificate not trusted"
            case ssl.SSLError():
                return "TLS failed"
            case socket.gaierror():
                return "name not found"
            case httpx.ProxyError():
                return "the proxy refused"
            case httpx.RemoteProtocolError():
                return _CLOSED if "disconnected without" in str(cause) else "not an HTTP answer"
            case ConnectionResetError() | BrokenPipeError() | anyio.BrokenResourceError() | anyio.EndOfStream():
                return _CLOSED
            case BaseExceptionGroup() if cause.exceptions:
                cause = cause.exceptions[0]
            case _:
                cause = cause.__cause__ or cause.__context__
    return "cannot connect"
