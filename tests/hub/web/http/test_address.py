"""Absolute request targets, and the headers of trusted proxies."""

from typing import Any

import anyio
import httpx
import pytest

from hub.web.http.address import forwarded, is_of, networks, with_path
from tests.hub.web.parts import TOKENS, Site, serving

pytestmark = pytest.mark.anyio

OPERATOR = TOKENS[1]["token"]
PROXIES = networks(("10.0.0.0/8", "::1", "127.0.0.1"))


def scope(target: str = "/", kind: str = "http", client: str = "10.0.0.5", **headers: str) -> dict[str, Any]:
    raw_path = target.partition("?")[0].encode()
    return {
        "type": kind,
        "scheme": "ws" if kind == "websocket" else "http",
        "client": (client, 1234),
        "path": target,
        "raw_path": raw_path,
        "headers": [(b"host", b"inside:8480")]
        + [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }


def host_of(found: Any) -> list[bytes]:
    return [value for name, value in found["headers"] if name == b"host"]


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("http://hub:8480/api/units", "/api/units", b"hub:8480"),
        ("HTTPS://hub/a%20b", "/a b", b"hub"),
        ("http://hub", "/", b"hub"),
        ("ws://[::1]:1/api/live", "/api/live", b"[::1]:1"),
        ("http://hub//x", "//x", b"hub"),
    ],
)
def test_an_absolute_target_is_its_path_and_its_host_wins(target: str, path: str, host: bytes) -> None:
    found = with_path(scope(target))
    assert found is not None
    assert (found["path"], host_of(found)) == (path, [host])


@pytest.mark.parametrize("target", ["ftp://hub/x", "http:///x", "http://me@hub/", "hub:443", "x"])
def test_other_targets_are_none(target: str) -> None:
    assert with_path(scope(target)) is None


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.9.9.9", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7:5050, 10.9.9.9", "203.0.113.7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("203.0.113.7, unknown", "10.0.0.5"),
        ("203.0.113.7, junk, 10.1.1.1", "10.1.1.1"),
        ("10.1.1.1", "10.1.1.1"),
        ("", "10.0.0.5"),
    ],
)
def test_the_client_is_the_nearest_address_that_is_no_proxy(header: str, client: str) -> None:
    assert forwarded(scope(x_forwarded_for=header), PROXIES)["client"][0] == client


def test_forwarded_headers_of_other_clients_are_ignored() -> None:
    asked = scope(client="192.0.2.1", x_forwarded_for="1.1.1.1", x_forwarded_proto="https", x_forwarded_host="evil")
    assert forwarded(asked, PROXIES) is asked
    assert forwarded(asked, ()) is asked


@pytest.mark.parametrize(
    ("kind", "proto", "scheme"),
    [
        ("http", "https", "https"),
        ("http", "HTTPS", "https"),
        ("http", "http, https", "https"),
        ("http", "http", "http"),
        ("http", "gopher", "http"),
        ("websocket", "https", "wss"),
        ("websocket", "wss", "wss"),
    ],
)
def test_the_scheme_is_the_one_the_proxy_was_asked_by(kind: str, proto: str, scheme: str) -> None:
    assert forwarded(scope(kind=kind, x_forwarded_proto=proto), PROXIES)["scheme"] == scheme


def test_a_forwarded_host_replaces_the_host() -> None:
    assert host_of(forwarded(scope(x_forwarded_host="hub.example.org"), PROXIES)) == [b"hub.example.org"]


def test_ipv4_in_ipv6_is_the_ipv4_it_is() -> None:
    assert is_of("::ffff:10.1.2.3", PROXIES)
    assert is_of("::1", PROXIES)
    assert not is_of("not an address", PROXIES)


async def raw(at: str, request: str) -> str:
    host, _, port = at.partition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        await stream.send(request.encode())
        return (await stream.receive(65536)).decode("latin-1")


async def test_an_absolute_request_is_answered_as_its_path_would_be(site: Site) -> None:
    async with serving(site) as at:
        for path, status in (("/livez", 200), ("/api/units", 200), ("/nowhere", 404)):
            answer = await raw(at, f"GET http://{at}{path} HTTP/1.1\r\nHost: {at}\r\n\r\n")
            assert int(answer.split()[1]) == status
        assert " 400 " in await raw(at, f"GET ftp://{at}/livez HTTP/1.1\r\nHost: {at}\r\n\r\n")
        assert " 403 " in await raw(at, f"GET http://evil.example/api/units HTTP/1.1\r\nHost: {at}\r\n\r\n")
        assert " 404 " in await raw(at, f"OPTIONS * HTTP/1.1\r\nHost: {at}\r\n\r\n")


async def test_an_absolute_address_opens_a_stream(site: Site) -> None:
    head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    async with serving(site) as at:
        answer = await raw(
            at, f"GET http://{at}/api/live HTTP/1.1\r\nHost: {at}\r\n{head}Sec-WebSocket-Version: 13\r\n\r\n"
        )
    assert " 101 " in answer


def configure(site: Site, **keys: Any) -> None:
    hub = site.parts.config.hub.model_copy(update=keys)
    site.parts.config = site.parts.config.model_copy(update={"hub": hub})


@pytest.mark.parametrize(
    ("keys", "headers", "is_secure"),
    [
        ({}, {}, False),
        ({}, {"x-forwarded-proto": "https"}, False),
        ({"trusted_proxies": ("127.0.0.1",)}, {"x-forwarded-proto": "https"}, True),
        ({"trusted_proxies": ("127.0.0.1",)}, {"x-forwarded-proto": "http"}, False),
        ({"trusted_proxies": ("10.0.0.1",)}, {"x-forwarded-proto": "https"}, False),
        ({"public_url": "https://hub.example.org"}, {"host": "hub.example.org"}, True),
        ({"public_url": "https://hub.example.org/hub"}, {"host": "HUB.example.org"}, True),
        ({"public_url": "https://hub.example.org"}, {}, False),
        ({"public_url": "http://hub.example.org"}, {"host": "hub.example.org"}, False),
    ],
)
async def test_the_cookie_is_secure_where_the_browser_speaks_tls(
    guarded: Site, keys: dict[str, Any], headers: dict[str, str], is_secure: bool
) -> None:
    configure(guarded, **keys)
    async with guarded.client(**headers) as client:
        login = await client.post("/api/login", json={"token": OPERATOR})
        assert login.status_code == 200
        assert ("Secure" in login.headers["set-cookie"]) is is_secure
        logout = await client.post("/api/logout")
        assert ("Secure" in logout.headers["set-cookie"]) is is_secure


async def test_without_tokens_whom_a_trusted_proxy_forwards_is_no_local_caller(site: Site) -> None:
    configure(site, trusted_proxies=("127.0.0.1",))
    async with serving(site) as at, httpx.AsyncClient(base_url=f"http://{at}") as client:
        assert (await client.get("/api/units")).status_code == 200
        assert (await client.get("/api/units", headers={"x-forwarded-for": "203.0.113.7"})).status_code == 403
