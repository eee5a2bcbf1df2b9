"""One POST of a delivery to its receiver, and what its answer means."""

import socket
import ssl
from datetime import datetime
from types import TracebackType
from typing import Self

import anyio
import httpx

from alerts.addresses import is_public
from alerts.answers import Outcome, Retry, judge
from alerts.delivery import Delivery
from alerts.excerpt import Excerpts
from alerts.kept_connection import Address, Answer, KeptConnection, NotAnswered, NotHttp
from alerts.message import headers, parse_secret
from alerts.receiver_fields import check_headers
from alerts.rule import Receiver

_PORTS = {"http": 80, "https": 443}


class Webhook:
    """Posts to one receiver over connections that are kept. A context manager that closes them."""

    def __init__(self, receiver: Receiver, version: str) -> None:
        """`version` is the hub's. Raises ValueError, without the secret, for what cannot be used."""
        given = receiver.secret if isinstance(receiver.secret, tuple) else (receiver.secret,)
        self._timeout_s = receiver.timeout
        self._must_be_public = not receiver.allow_private
        fixed = {"user-agent": f"monitor-hub/{version}", "content-type": "application/json"}
        fixed |= {name.lower(): value for name, value in receiver.headers.items()}
        try:
            self._keys = [parse_secret(secret.get_secret_value()) for secret in given if secret is not None]
            self._url = _usable_url(receiver.url)
            check_headers(receiver.headers)
            self._head = _head(self._url, fixed)
        except (ValueError, UnicodeError) as error:
            raise ValueError(f"receiver {receiver.name}: {error}") from None
        self._excerpts = Excerpts(
            receiver.url, receiver.headers, [secret.get_secret_value() for secret in given if secret is not None]
        )
        self._trusted: ssl.SSLContext | None = None
        self._idle: list[KeptConnection] = []

    async def __aenter__(self) -> Self:
        if self._url.scheme == "https":
            self._trusted = ssl.create_default_context()  # the system's authorities: a site may have its own
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.move_on_after(1, shield=True):
            while self._idle:
                await self._idle.pop().aclose()
        self._trusted = None  # 0.7 MB that would live as long as anything that knows this webhook

    async def post(self, delivery: Delivery, at: datetime) -> Outcome:
        """Send once. What goes wrong on the way is a Retry; its error names the stage, never address or body."""
        signed = headers(delivery.id, int(at.timestamp()), delivery.body, self._keys)
        with anyio.move_on_after(self._timeout_s):
            try:
                answer = await self._send(signed, delivery.body)
            except (OSError, NotAnswered, NotHttp) as error:
                return Retry(_reason(error))
            return judge(answer.status, answer.retry_after, at, self._excerpts.excerpt(answer.body))
        return Retry(f"no answer within {self._timeout_s:g} s")

    async def _send(self, signed: dict[str, str], body: bytes) -> Answer:
        """No redirects, cookies, proxies or authentication."""
        url, host = self._url, self._url.host
        port = url.port or _PORTS[url.scheme]
        if self._must_be_public:
            host = await public_address(host, port)
        address = Address(host, port, url.host if url.scheme == "https" else None)
        own = _lines({**signed, "content-length": str(len(body))})
        connection = self._idle.pop() if self._idle else KeptConnection(self._trusted)
        try:
            return await connection.exchange(address, b"".join((self._head, own, b"\r\n", body)))
        finally:
            self._idle.append(connection)


def _head(url: httpx.URL, fixed: dict[str, str]) -> bytes:
    """The part of a request that is the same for every message."""
    return b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (url.raw_path, url.netloc) + _lines(fixed)


def _lines(fields: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("latin-1")


def _usable_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("the url holds a character that HTTP cannot carry") from None
    if url.scheme not in _PORTS or not url.host:
        raise ValueError("write the url as https://host/path")
    if url.userinfo:
        raise ValueError("write credentials under headers, as Authorization, not into the url")
    return url


class PrivateAddress(OSError):
    """The host resolves to an address that `allow_private: false` refuses."""


async def public_address(host: str, port: int) -> str:
    """The address to connect to, once all that DNS gives are public. Raises PrivateAddress, socket.gaierror."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not all(is_public(address) for address in addresses):
        raise PrivateAddress
    return addresses[0]


def _reason(error: BaseException) -> str:
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
            case ConnectionResetError() | BrokenPipeError() | anyio.BrokenResourceError() | anyio.EndOfStream():
                return "closed without an answer"
            case NotAnswered():
                return "closed without an answer"
            case NotHttp():
                return "not an HTTP answer"
            case BaseExceptionGroup() if cause.exceptions:
                cause = cause.exceptions[0]
            case _:
                cause = cause.__cause__ or cause.__context__
    return "cannot connect"
