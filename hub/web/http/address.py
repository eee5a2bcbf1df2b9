"""Who asks, and for which address: absolute request targets, and what trusted proxies forward, made plain.

Everybody behind this middleware sees the path, the Host, the scheme and the client as the caller meant them.
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
    """ASGI middleware. `proxies` is asked at each request, so that a reload holds at once."""

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
    """The scope of a target such as `http://host/path`: its host replaces the header. None for other targets."""
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
    """The scope as a trusted proxy says it was asked; anybody else's word does not count."""
    client = scope.get("client")
    if client is None or not is_of(client[0], proxies):
        return scope
    headers = Headers(scope=scope)
    told = dict(scope)
    if (address := _client(headers.getlist("x-forwarded-for"), proxies)) is not None:
        told["client"] = (address, 0)
    proto = _last(headers.getlist("x-forwarded-proto"))
    if proto in _SCHEMES:
        is_tls, is_socket = proto in ("https", "wss"), scope["type"] == "websocket"
        told["scheme"] = ("wss" if is_tls else "ws") if is_socket else ("https" if is_tls else "http")
    if host := _last(headers.getlist("x-forwarded-host")):
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        told["headers"] = [*others, (b"host", host.encode("latin-1"))]
    return told


def is_of(address: str, among: Networks) -> bool:
    """True for an address of one of the networks; IPv4 in IPv6 counts as the IPv4 it is."""
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
    """The address nearest to us that is no proxy of ours: what lies further left anybody may have written."""
    client: str | None = None
    for text in reversed([part.strip() for value in values for part in value.split(",")]):
        address = _without_port(text)
        try:
            ip_address(address)
        except ValueError:
            return client
        client = address
        if not is_of(address, proxies):
            break
    return client


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _last(values: Sequence[str]) -> str:
    return values[-1].rpartition(",")[2].strip().lower() if values else ""
