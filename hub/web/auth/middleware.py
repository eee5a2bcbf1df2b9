"""The auth middleware: authenticates each caller, checks the role its route requires, adds security headers."""

from collections.abc import Callable, Sequence

from fastapi.routing import RouteContext
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.config.models import Role, Token
from hub.web.auth.access_check import AccessCheck, close_websocket, serve_http, serve_websocket
from hub.web.auth.roles import declared, refusal, route_for
from hub.web.auth.security import Caller, Sessions, authenticate
from hub.web.http.problems import Problem, ProblemResponse, no_route
from hub.web.http.streaming import ResponseInterrupted

_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
_DOCS_POLICY = f"{_POLICY}; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class AuthMiddleware:
    """ASGI middleware. It calls `tokens` at each request and during a stream, so a reload takes effect at once.

    It finds the route as the router will, and reads the role that the route declares: it never compares paths as
    text. It denies a request without a route, and one whose route declares no role. `documentation` are the routes
    that FastAPI adds; they are open to everybody.
    It accepts a WebSocket before it refuses it, because browsers show the close code only then.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: Callable[[], tuple[Token, ...]],
        sessions: Sessions,
        documentation: Sequence[BaseRoute] = (),
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._sessions = sessions
        self._documentation = documentation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        route = route_for(scope["app"].routes, scope)
        is_documentation = route is not None and any(route.original_route is each for each in self._documentation)
        is_socket = scope["type"] == "websocket"
        if not is_socket:
            send = _with_headers(is_documentation, send)
        try:
            caller = self._authorize(scope, route, is_documentation)
        except Problem as problem:
            if is_socket:
                await _refuse_socket(problem, receive, send)
            else:
                await ProblemResponse(problem)(scope, receive, send)
            return
        scope["hub.caller"], scope["hub.route"] = caller, route
        if caller is None:
            await self._app(scope, receive, send)
            return
        serve = serve_websocket if is_socket else serve_http
        try:
            await serve(AccessCheck(caller, scope, self._tokens, self._sessions), self._app, scope, receive, send)
        except ResponseInterrupted:
            pass  # the response has no end, so the server closes the connection

    def _authorize(self, scope: Scope, route: RouteContext | None, is_documentation: bool) -> Caller | None:
        """The caller; None for an anonymous one on an open route. Raises Problem when the route is not allowed."""
        caller, wrong = None, None
        try:
            caller = authenticate(HTTPConnection(scope), self._tokens(), self._sessions)
        except Problem as problem:
            if problem.status != 401:
                raise
            wrong = problem  # an open route stays open to a caller whose token is wrong
        role = None if is_documentation else _role_of(route)
        denial = wrong if wrong is not None and role is not None else refusal(role, caller)
        if denial is not None:
            raise denial
        return caller


def _role_of(route: RouteContext | None) -> Role | None:
    """The role a route requires, None for everybody. Raises Problem 404 without a route or a declared role."""
    requires = None if route is None else declared(route)
    if requires is None:
        raise no_route()
    return requires.role


async def _refuse_socket(problem: Problem, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await close_websocket(problem, send)


def _with_headers(is_documentation: bool, send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("content-security-policy", _DOCS_POLICY if is_documentation else _POLICY)
            if not is_documentation:
                headers.setdefault("cache-control", "no-store")
        await send(message)

    return send_with_headers
