"""Tokens, sessions and origins decide which requests the hub accepts."""

import httpx
import pytest
from starlette.datastructures import Headers
from websockets.asyncio.client import connect
from websockets.typing import Origin

from hub.config.models import Token
from hub.runtime.clock import Clock
from hub.web.auth.security import COOKIE, SESSION_S, Sessions, find_token, is_foreign
from tests.hub.web.parts import TOKENS, Site, serving
from tests.hub.web.routes.test_live import close_code, receive

pytestmark = pytest.mark.anyio

VIEWER, OPERATOR, ADMIN = (token["token"] for token in TOKENS)
PROTECTED = ["/api/units", "/api/monitors", "/api/alerts", "/api/rules", "/api/supervisor", "/metrics"]
OPERATIONS = [
    ("POST", "/api/units/gate-a/poll"),
    ("POST", "/api/units/gate-a/release"),
    ("POST", "/api/units/gate-a/resume"),
    ("PUT", "/api/units/gate-a/monitor"),
    ("POST", "/api/alerts/x/ack"),
    ("DELETE", "/api/alerts/x/ack"),
    ("GET", "/api/deliveries"),
    ("POST", "/api/deliveries/x/replay"),
    ("POST", "/api/deliveries/replay"),
    ("POST", "/api/supervisor/x/start"),
]


@pytest.mark.parametrize("path", PROTECTED)
async def test_a_request_without_a_token_is_refused(guarded: Site, path: str) -> None:
    async with guarded.client() as client:
        answer = await client.get(path)
        wrong = await client.get(path, headers={"authorization": "Bearer wrong-0123456789abcdef"})
        allowed = await client.get(path, headers={"authorization": f"Bearer {VIEWER}"})
    assert answer.status_code == wrong.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert allowed.status_code == 200


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_operations_are_not_for_viewers(guarded: Site, method: str, path: str) -> None:
    body = {"keep_alive": True} if method == "PUT" else None
    async with guarded.client() as client:
        statuses = [
            (
                await client.request(method, path, json=body, headers={"authorization": f"Bearer {token}"})
            ).status_code
            for token in (VIEWER, OPERATOR, ADMIN)
        ]
    assert statuses[0] == 403
    assert 401 not in statuses[1:]
    assert 403 not in statuses[1:]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/openapi.json", "/docs"])
async def test_health_and_documentation_are_open(guarded: Site, path: str) -> None:
    async with guarded.client() as client:
        assert (await client.get(path)).status_code == 200


async def test_an_old_token_does_not_close_what_is_open(guarded: Site) -> None:
    async with guarded.client() as client:
        answer = await client.get("/livez", headers={"authorization": "Bearer wrong-0123456789abcdef"})
    assert answer.status_code == 200


async def test_an_unauthenticated_body_is_not_even_read(guarded: Site) -> None:
    async with guarded.client() as client:
        answer = await client.put("/api/units/gate-a/monitor", content=b"{not json")
    assert answer.status_code == 401


async def test_a_login_gives_a_cookie_that_is_not_the_token(guarded: Site) -> None:
    async with guarded.client() as client:
        answer = await client.post("/api/login", json={"token": OPERATOR})
        cookie = answer.headers["set-cookie"]
        assert answer.json() == {"name": "shift", "role": "operator"}
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert OPERATOR not in cookie
        assert (await client.post("/api/units/gate-a/poll")).status_code == 200
        assert (await client.post("/api/logout")).status_code == 204
        assert (await client.get("/api/units")).status_code == 401


async def test_a_wrong_login_is_401_without_a_cookie(guarded: Site) -> None:
    async with guarded.client() as client:
        answer = await client.post("/api/login", json={"token": "wrong-0123456789abcdef"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


async def test_a_cookie_from_a_foreign_page_changes_nothing(guarded: Site) -> None:
    foreign = {"origin": "https://evil.example"}
    async with guarded.client() as client:
        await client.post("/api/login", json={"token": OPERATOR})
        assert (await client.post("/api/units/gate-a/poll", headers=foreign)).status_code == 403
        own = {"origin": "http://127.0.0.1:8480"}
        assert (await client.post("/api/units/gate-a/poll", headers=own)).status_code == 200
    async with guarded.client(OPERATOR) as client:
        assert (await client.post("/api/units/gate-a/poll", headers=foreign)).status_code == 200


async def test_a_token_that_left_the_configuration_ends_its_sessions(guarded: Site) -> None:
    async with guarded.client() as client:
        await client.post("/api/login", json={"token": OPERATOR})
        assert (await client.get("/api/units")).status_code == 200
        section = guarded.parts.config.hub
        hub = section.model_copy(update={"tokens": tuple(t for t in section.tokens if t.name != "shift")})
        guarded.parts.config = guarded.parts.config.model_copy(update={"hub": hub})
        assert (await client.get("/api/units")).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8480"}, 200),
        ({"host": "LOCALHOST:8480"}, 200),
        ({"host": "[::1]:8480"}, 200),
        ({"host": "[::ffff:127.0.0.1]:8480"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:8480"}, 403),
        ({"host": "10.0.0.4:8480"}, 403),
        ({"origin": "http://127.0.0.1:8480"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
    ],
)
async def test_without_tokens_only_this_machine_and_its_own_page_come_in(
    site: Site, headers: dict[str, str], status: int
) -> None:
    async with site.client() as client:
        answer = await client.get("/api/units", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/live", "/api/units/gate-a/live"])
async def test_a_websocket_from_a_foreign_page_is_closed_with_4403(site: Site, path: str) -> None:
    async with serving(site) as at, connect(f"ws://{at}{path}", origin=Origin("http://evil.example")) as websocket:
        assert await close_code(websocket) == 4403


async def test_a_websocket_without_a_known_token_is_closed_with_4401(guarded: Site) -> None:
    async with serving(guarded) as at:
        async with connect(f"ws://{at}/api/live") as websocket:
            assert await close_code(websocket) == 4401
        headers = {"authorization": "Bearer wrong-0123456789abcdef"}
        async with connect(f"ws://{at}/api/live", additional_headers=headers) as websocket:
            assert await close_code(websocket) == 4401


async def test_a_rebound_name_is_refused_on_a_websocket(site: Site) -> None:
    async with serving(site) as at:
        port = int(at.rpartition(":")[2])
        async with connect(f"ws://evil.example:{port}/api/live", host="127.0.0.1", port=port) as websocket:
            assert await close_code(websocket) == 4403


async def test_a_page_that_logged_in_may_watch_and_a_foreign_one_may_not(guarded: Site) -> None:
    async with serving(guarded) as at, httpx.AsyncClient(base_url=f"http://{at}") as client:
        await client.post("/api/login", json={"token": VIEWER})
        cookie = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
        async with connect(
            f"ws://{at}/api/live", additional_headers=cookie, origin=Origin(f"http://{at}")
        ) as websocket:
            assert (await receive(websocket))["unit_id"] == ["gate-a", "gate-b"]
        async with connect(
            f"ws://{at}/api/live", additional_headers=cookie, origin=Origin("http://evil.example")
        ) as websocket:
            assert await close_code(websocket) == 4403


async def test_every_answer_has_the_headers_that_keep_browsers_safe(site: Site) -> None:
    async with site.client() as client:
        answers = [await client.get(path) for path in ("/api/units", "/nowhere", "/docs", "/livez")]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answers[0].headers["cache-control"] == "no-store"
    assert "unsafe-inline" not in answers[0].headers["content-security-policy"]


async def test_a_body_without_end_is_refused(site: Site) -> None:
    async with site.client() as client:
        answer = await client.post("/api/login", content=b" " * (2 << 20))
    assert answer.status_code == 413


async def test_however_often_one_token_logs_in_no_other_loses_its_session(guarded: Site) -> None:
    async with guarded.client() as client:
        await client.post("/api/login", json={"token": ADMIN})
        admin = dict(client.cookies)
        client.cookies.clear()
        sessions = client._transport.app.state.sessions  # type: ignore[attr-defined]
        viewer = guarded.parts.config.hub.tokens[0]
        for _ in range(5000):
            sessions.open(viewer)
        client.cookies.update(admin)
        assert (await client.get("/api/units")).status_code == 200
        assert len(sessions._sessions) == 1001


def test_sessions_end_and_the_oldest_make_room() -> None:
    class Later(Clock):
        ahead_s = 0.0

        def steady(self) -> float:
            return super().steady() + self.ahead_s

    clock = Later()
    sessions = Sessions(clock, size=2)
    token = Token.model_validate(TOKENS[0])
    first, second, third = (sessions.open(token) for _ in range(3))
    assert sessions.find(first) is None
    assert sessions.find(second) is sessions.find(third) is token
    clock.ahead_s = SESSION_S
    assert sessions.find(third) is None
    sessions.close(second)
    assert not sessions._sessions
    assert not sessions._by_token


def test_a_token_is_found_by_its_secret_alone() -> None:
    tokens = [Token.model_validate(token) for token in TOKENS]
    assert find_token(tokens, OPERATOR) is tokens[1]
    for wrong in ("", "shift", OPERATOR[:-1], OPERATOR + "x", "ü", "\udc80"):
        assert find_token(tokens, wrong) is None


def test_an_origin_without_a_host_is_foreign() -> None:
    assert is_foreign(Headers({"origin": "null"}))
    assert not is_foreign(Headers({"host": "Hub.example:80", "origin": "http://hub.example:80"}))
