"""Every route declares its role, and no spelling of a path evades the check."""

from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI, WebSocket
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Message

from hub.web.auth.roles import declared, routes_of
from hub.web.routes.app import create_app
from tests.hub.web.parts import TOKENS, Site, open_site

pytestmark = pytest.mark.anyio

VIEWER, OPERATOR, ADMIN = (token["token"] for token in TOKENS)
OPEN = {"/livez", "/readyz", "/healthz", "/api/login", "/api/logout", "/"}
DOCUMENTATION = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs"}
OPERATIONS = [
    ("POST", "/api/units/gate-a/release"),
    ("PUT", "/api/units/gate-a/monitor"),
    ("POST", "/api/units/gate-a/poll"),
    ("GET", "/api/deliveries"),
    ("POST", "/api/alerts/x/ack"),
    ("POST", "/api/supervisor/x/start"),
    ("POST", "/api/equipment/refresh"),
]


async def ask(
    app: Any, path: str, method: str = "GET", token: str | None = None, root_path: str = "", kind: str = "http"
) -> list[Message]:
    """What the application sends for a path exactly as given, decoded as a server would hand it on."""
    headers = [(b"host", b"127.0.0.1")]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    scope = {
        "type": kind, "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": root_path, "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8480), "subprotocols": [],
    }  # fmt: skip
    if kind == "websocket":
        del scope["method"]
    sent: list[Message] = []
    first = {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": b"{}"}
    incoming = [{"type": f"{kind}.disconnect", "code": 1000}, first]

    async def receive() -> Message:
        return incoming.pop() if len(incoming) > 1 else incoming[0]

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def status_of(app: Any, path: str, method: str = "GET", **more: Any) -> int:
    status: int = (await ask(app, path, method, **more))[0]["status"]
    return status


async def test_every_route_declares_its_role(guarded: Site) -> None:
    app = create_app(guarded.parts)
    roles = {}
    for route in routes_of(app.routes):
        requires = declared(route)
        if requires is None:
            assert route.path in DOCUMENTATION
        else:
            roles[route.path] = requires.role
    assert {path for path, role in roles.items() if role is None} == OPEN
    assert roles["/metrics"] == roles["/api/live"] == "viewer"
    assert roles["/api/supervisor/{name:path}/start"] == "operator"


async def test_a_route_that_declares_no_role_is_denied_to_everybody(guarded: Site) -> None:
    app = create_app(guarded.parts)

    async def leak(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("secret")

    inner = FastAPI()
    inner.add_api_route("/inner", lambda: "secret")
    app.add_api_route("/api/new", lambda: "secret")
    app.add_api_route("/new", lambda: "secret")
    app.router.routes.append(Route("/plain", lambda request: PlainTextResponse("secret")))
    app.router.routes.append(Mount("/mounted", app=inner))
    app.add_api_websocket_route("/api/leak", leak)
    for token in (None, VIEWER, ADMIN):
        for path in ("/api/new", "/new", "/plain", "/mounted/inner", "/mounted/"):
            assert await status_of(app, path, token=token) in (401, 403, 404)
        sent = await ask(app, "/api/leak", token=token, kind="websocket")
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
        assert sent[1]["code"] == 4404


SUFFIXES = [
    "\n",
    "\r",
    "\x00",
    "/",
    "//",
    "/.",
    "/..",
    ";x",
    "?",
    "#",
    " ",
    "\t",
    "%0a",
    "%00",
    "\u2028",
    "\x85",
    "\\",
]
PREFIXES = ["/", "/.", "/x/..", "//", "/livez/..", "/docs/..", "/static-offline-docs/..", "/api/login/..", "\\"]


def denied(path: str) -> set[int]:
    """400 is for what is no path; the static files of the documentation answer 405 to what is no GET."""
    if not path.startswith("/"):
        return {400}
    return {401, 403, 404, 405} if path.startswith("/static-offline-docs/") else {401, 403, 404}


@pytest.mark.parametrize("path", ["/metrics", "/api/units", "/api/units/gate-a/history", "/api/deliveries"])
async def test_no_spelling_of_a_path_gets_in_without_a_token(guarded: Site, path: str) -> None:
    app = create_app(guarded.parts)
    spellings = [path + suffix for suffix in SUFFIXES] + [prefix + path for prefix in PREFIXES]
    spellings += [
        path.upper(),
        path.title(),
        path.replace("/", "//"),
        path.replace("/", "/./"),
        path[1:],
        path.replace("/", "%2F"),
    ]
    for spelling in spellings:
        for method in ("GET", "HEAD", "OPTIONS", "get", "TRACE"):
            for root in ("", "/proxy", "/api"):
                status = await status_of(app, spelling, method, root_path=root)
                assert status in denied(spelling), (spelling, method, root)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_no_spelling_of_an_operation_is_for_viewers(guarded: Site, method: str, path: str) -> None:
    app = create_app(guarded.parts)
    for spelling in [path, *(path + suffix for suffix in SUFFIXES), *(prefix + path for prefix in PREFIXES)]:
        assert await status_of(app, spelling, method) in denied(spelling), spelling
        assert await status_of(app, spelling, method, token=VIEWER) in denied(spelling) - {401} | {405}, spelling
    assert not guarded.parts.units["gate-a"].is_released


def test_no_invented_path_is_answered_without_a_token(tmp_path: Path) -> None:
    parts = [
        "api",
        "units",
        "gate-a",
        "metrics",
        "live",
        "livez",
        "docs",
        "..",
        ".",
        "",
        "%2e",
        "supervisor",
        "start",
    ]
    segments = st.sampled_from(parts) | st.text(max_size=4)
    paths = st.tuples(st.lists(segments, max_size=6).map("/".join), st.sampled_from(["", *SUFFIXES])).map("/".join)
    free = OPEN | DOCUMENTATION
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(open_site(tmp_path, TOKENS)) as site,
    ):
        app = create_app(site.parts)

        @settings(max_examples=150, deadline=None, database=None)
        @given(path=paths.map(lambda rest: f"/{rest}"), method=st.sampled_from(["GET", "HEAD", "POST", "DELETE"]))
        def no_answer(path: str, method: str) -> None:
            status = portal.call(lambda: _status(app, path, method))
            assert status in (401, 403, 404) or path.strip() in free

        no_answer()


async def _status(app: Any, path: str, method: str) -> int:
    return await status_of(app, path.encode("utf-8", "replace").decode(), method)


@pytest.mark.parametrize(
    "path", ["/api/live", "/api/live\n", "/api/units/gate-a/live", "/api/units/gate-a/live\n", "/nowhere"]
)
async def test_no_websocket_opens_without_a_token(guarded: Site, path: str) -> None:
    sent = await ask(create_app(guarded.parts), path, kind="websocket")
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] in (4401, 4404)


async def test_head_has_the_headers_of_get_and_no_body(guarded: Site) -> None:
    await guarded.poll()
    await guarded.committed()
    paths = [
        "/livez",
        "/readyz",
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/api/units",
        "/api/units/gate-a",
    ]
    paths += [
        "/api/alerts",
        "/api/rules",
        "/api/monitors",
        "/api/supervisor",
        "/api/units/gate-a/history?format=csv",
    ]
    paths += ["/api/units/nowhere", "/nowhere", "/"]
    async with guarded.client(VIEWER) as client:
        for path in paths:
            got, head = await client.get(path), await client.head(path)
            assert head.status_code == got.status_code, path
            assert head.content == b""
            assert head.headers.keys() == got.headers.keys()
            assert head.headers.get("content-type") == got.headers.get("content-type")
        assert (await client.head("/api/login")).status_code == 405
        assert "HEAD" in (await client.post("/livez")).headers["allow"]
    async with guarded.client() as client:
        assert (await client.head("/metrics")).status_code == 401
