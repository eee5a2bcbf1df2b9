"""The gate before every route: who asks, what the route asks for, and the headers that keep browsers safe."""

from collections.abc import Callable, Sequence

from fastapi.routing import RouteContext
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.config.models import Role, Token
from hub.web.auth.roles import declared, refusal, route_for
from hub.web.auth.security import Caller, Sessions, admit
from hub.web.auth.standing import Standing, close_socket, serve_download, serve_socket
from hub.web.http.problems import Problem, ProblemResponse, nothing_here
from hub.web.http.streaming import BrokenOff

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
    """ASGI middleware. `tokens` is asked at each request and all through a stream, so that a reload holds at once.

    It finds the route as the router will, and asks that route which role it declares: text is never compared with
    paths. A request that leads to no route, or to one that declares no role, is denied. `documentation` are the
    routes that FastAPI brings along; they are for everybody.
    A WebSocket is accepted before it is refused, because only then the browser learns the code.
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
            caller = self._admit(scope, route, is_documentation)
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
        serve = serve_socket if is_socket else serve_download
        try:
            await serve(Standing(caller, scope, self._tokens, self._sessions), self._app, scope, receive, send)
        except BrokenOff:
            pass  # without the end of its answer the server closes the connection

    def _admit(self, scope: Scope, route: RouteContext | None, is_documentation: bool) -> Caller | None:
        """Who asks; None for somebody unknown where that is enough. Raises Problem."""
        caller, wrong = None, None
        try:
            caller = admit(HTTPConnection(scope), self._tokens(), self._sessions)
        except Problem as problem:
            if problem.status != 401:
                raise
            wrong = problem  # what is open to everybody is so to those with an old token too
        role = None if is_documentation else _role_of(route)
        denial = wrong if wrong is not None and role is not None else refusal(role, caller)
        if denial is not None:
            raise denial
        return caller


def _role_of(route: RouteContext | None) -> Role | None:
    """The role a route asks for, None for everybody. Raises Problem 404 where there is none to ask."""
    requires = None if route is None else declared(route)
    if requires is None:
        raise nothing_here()
    return requires.role


async def _refuse_socket(problem: Problem, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await close_socket(problem, send)


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
