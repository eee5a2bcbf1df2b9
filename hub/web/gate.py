"""The gate before every route: who asks, how much they may send, and the headers that keep browsers safe."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.config import Token
from hub.web.problems import Problem, ProblemResponse
from hub.web.security import Sessions, admit, unauthorized

MAX_BODY = 1 << 20
MAX_TRACE_BODY = 6 << 20  # a trace may begin with 200,000 container ids
_OPEN_API = ("/api/login", "/api/logout")
_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
_DOCS_POLICY = f"{_POLICY}; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Gate:
    """ASGI middleware. `tokens` is asked at each request, so that a reload holds at once.

    What lies under /api, and /metrics, is for callers that are known; a route may ask for more than that.
    A WebSocket is accepted before it is refused, because only then the browser learns the code.
    """

    def __init__(self, app: ASGIApp, tokens: Callable[[], tuple[Token, ...]], sessions: Sessions) -> None:
        self._app = app
        self._tokens = tokens
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        is_socket = scope["type"] == "websocket"
        if not is_socket:
            send = _with_headers(scope["path"], send)
        try:
            caller = admit(HTTPConnection(scope), self._tokens(), self._sessions)
            if caller is None and _is_closed(scope["path"]):
                raise unauthorized("send Authorization: Bearer TOKEN, or log in at POST /api/login")
        except Problem as problem:
            if problem.status != 401 or _is_closed(scope["path"]):
                if is_socket:
                    await _close(problem, receive, send)
                else:
                    await ProblemResponse(problem)(scope, receive, send)
                return
            caller = None  # what is open to everybody is so to those with an old token too
        scope["hub.caller"] = caller
        await self._app(scope, receive if is_socket else _bounded(receive, _most(scope["path"])), send)


def _is_closed(path: str) -> bool:
    return path == "/metrics" or (path.startswith("/api/") and path not in _OPEN_API)


def _most(path: str) -> int:
    return MAX_TRACE_BODY if path.startswith("/api/trace/") else MAX_BODY


def _bounded(receive: Receive, most: int) -> Receive:
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise HTTPException(413, f"a body may have up to {most} bytes")
        return message

    return receive_bounded


async def _close(problem: Problem, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4000 + problem.status, "reason": problem.detail})


def _with_headers(path: str, send: Send) -> Send:
    policy = _DOCS_POLICY if path.startswith("/docs") else _POLICY

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("content-security-policy", policy)
            if path.startswith("/api/"):
                headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with_headers
