"""Normalizes the address of a request: absolute request targets, and the headers that trusted proxies forward.

Everything behind this middleware sees the path, Host, scheme and client address of the original request.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.web.http.problems import Problem, ProblemResponse

Networks = Sequence[IPv4Network | IPv6Network]

_SCHEMES = ("http", "https", "ws", "wss")


class Addresses:
    """ASGI middleware. It calls `proxies` at each request, so that a reload takes effect at once."""

    def __init__(self, app: ASGIApp, proxies: Callable[[], tuple[str, ...]]) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            if not scope["raw_path"].startswith(b"/"):
                absolute = with_path(scope)
                if absolute is None and scope["type"] == "http":
                    problem = Problem(400, "the address of this request is neither a path nor an http address")
                    await ProblemResponse(problem)(scope, receive, send)
                    return
                scope = absolute or scope
            scope = forwarded(scope, networks(self._proxies()))
        await self._app(scope, receive, send)


def with_path(scope: Scope) -> Scope | None:
    """The scope of an absolute target such as `http://host/path`, whose host replaces the Host header.

    None for a target that is neither absolute nor `*`.
    """
    if scope["raw_path"] == b"*":
        return scope
    scheme, colon, rest = scope["raw_path"].decode("latin-1").partition("://")
    host, _, path = rest.partition("/")
    if not colon or scheme.lower() not in _SCHEMES or not host or "@" in host:
        return None
    raw_path = "/" + path
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    headers.append((b"host", host.encode("latin-1")))
    return {**scope, "path": unquote(raw_path), "raw_path": raw_path.encode("latin-1"), "headers": headers}


def forwarded(scope: Scope, proxies: Networks) -> Scope:
    """The scope with the client, scheme and host that a trusted proxy forwards; unchanged for other clients."""
    client = scope.get("client")
    if client is None or not is_of(client[0], proxies):
        return scope
    headers = Headers(scope=scope)
    changed = dict(scope)
    if (address := _client(headers.getlist("x-forwarded-for"), proxies)) is not None:
        changed["client"] = (address, 0)
    proto = _last(headers.getlist("x-forwarded-proto"))
    if proto in _SCHEMES:
        is_tls, is_socket = proto in ("https", "wss"), scope["type"] == "websocket"
        changed["scheme"] = ("wss" if is_tls else "ws") if is_socket else ("https" if is_tls else "http")
    if host := _last(headers.getlist("x-forwarded-host")):
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        changed["headers"] = [*others, (b"host", host.encode("latin-1"))]
    return changed


def is_of(address: str, among: Networks) -> bool:
    """True for an address in one of the networks; an IPv4 address mapped into IPv6 counts as IPv4."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in among)


@lru_cache(maxsize=4)
def networks(texts: tuple[str, ...]) -> Networks:
    """Addresses and networks as written in the configuration."""
    return tuple(ip_network(text, strict=False) for text in texts)


def _client(values: Iterable[str], proxies: Networks) -> str | None:
    """The rightmost forwarded address that is no trusted proxy: any client may have written what is left of it."""
    client: str | None = None
    for text in reversed([part.strip() for value in values for part in value.split(",")]):
        address = without_port(text)
        try:
            ip_address(address)
        except ValueError:
            return client
        client = address
        if not is_of(address, proxies):
            break
    return client


def without_port(text: str) -> str:
    """The host or address of `HOST:PORT`, an IPv6 address without its brackets."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _last(values: Sequence[str]) -> str:
    return values[-1].rpartition(",")[2].strip().lower() if values else ""
