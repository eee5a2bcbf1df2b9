"""One POST of a delivery to its receiver, and what its answer means."""

import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import anyio
import httpx

from alerts.delivery import Delivery
from alerts.kept_connection import KeptConnection
from alerts.message import headers, parse_secret
from alerts.rule import Receiver

_PORTS = {"http": 80, "https": 443}
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver answered 2xx."""

    status: int


@dataclass(frozen=True, slots=True)
class Retry:
    """It did not get through; `after_s` is what the receiver asked for, if it did."""

    error: str
    status: int | None = None
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver answered 410: it wants no more."""

    status: int = 410


Outcome = Delivered | Retry | Gone


class Webhook:
    """Posts to one receiver over connections that are kept. A context manager that closes them."""

    def __init__(self, receiver: Receiver, version: str) -> None:
        """`version` is the hub's. Raises ValueError, without the secret, for what cannot be used."""
        given = receiver.secret if isinstance(receiver.secret, tuple) else (receiver.secret,)
        self._timeout_s = receiver.timeout
        self._must_be_public = not receiver.allow_private
        self._headers = {"user-agent": f"monitor-hub/{version}", "content-type": "application/json"}
        self._headers |= {name.lower(): value for name, value in receiver.headers.items()}
        try:
            self._keys = [parse_secret(secret.get_secret_value()) for secret in given if secret is not None]
            self._url = _usable_url(receiver.url)
            if any(not _HEADER_VALUE.fullmatch(value) for value in self._headers.values()):
                raise ValueError("a header holds a character that HTTP cannot carry")
        except (ValueError, UnicodeError) as error:
            raise ValueError(f"receiver {receiver.name}: {error}") from None
        self._trusted = ssl.create_default_context()  # the system's authorities: a site may have its own
        self._idle: list[KeptConnection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.move_on_after(1, shield=True):
            while self._idle:
                await self._idle.pop().aclose()

    async def post(self, delivery: Delivery, at: datetime) -> Outcome:
        """Send once. What goes wrong on the way is a Retry; its error names the stage, never address or body."""
        signed = headers(delivery.id, int(at.timestamp()), delivery.body, self._keys)
        with anyio.move_on_after(self._timeout_s):
            try:
                response = await self._send(self._headers | signed, delivery.body)
            except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
                return Retry(_reason(error))
            return judge(response.status_code, response.headers.get("retry-after"), at)
        return Retry(f"no answer within {self._timeout_s:g} s")

    async def _send(self, all_headers: dict[str, str], body: bytes) -> httpx.Response:
        """Straight through the transport: no redirects, cookies, proxies or authentication. The body is dropped."""
        url, extensions = self._url, {}
        if self._must_be_public:
            address = await public_address(url.host, url.port or _PORTS[url.scheme])
            all_headers = {"host": url.netloc.decode("ascii")} | all_headers
            extensions = {"sni_hostname": url.host}
            url = url.copy_with(host=address)
        encoded = httpx.Headers(all_headers, encoding="latin-1")
        request = httpx.Request("POST", url, headers=encoded, content=body, extensions=extensions)
        connection = self._idle.pop() if self._idle else KeptConnection(self._trusted)
        try:
            return await connection.handle_async_request(request)
        finally:
            self._idle.append(connection)


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


def judge(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """What a status means: 2xx delivered, 410 gone, everything else another try. Redirects are not followed."""
    if 200 <= status < 300:
        return Delivered(status)
    if status == 410:
        return Gone()
    return Retry(f"HTTP {status}", status, parse_retry_after(retry_after, now))


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After (seconds or a date) asks for; None when there is none that can be read."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def is_public(address: str) -> bool:
    """False for loopback, private, link-local, multicast and reserved addresses, IPv4 inside IPv6 too."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is not None:
            return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


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
            case httpx.RemoteProtocolError() if "disconnected" in str(cause):
                return "closed without an answer"
            case httpx.RemoteProtocolError():
                return "not an HTTP answer"
            case BaseExceptionGroup() if cause.exceptions:
                cause = cause.exceptions[0]
            case _:
                cause = cause.__cause__ or cause.__context__
    return "cannot connect"
