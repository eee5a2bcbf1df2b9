"""Checks during a request or a stream that its caller is still authorized, and ends it otherwise."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.config.models import Token
from hub.web.auth.security import COOKIE, Caller, Sessions, authenticate, unauthorized
from hub.web.http.problems import Problem

log = structlog.get_logger()

CHECK_INTERVAL_S = 1.0
"""Seconds between two checks of a WebSocket that sends nothing; one that sends is checked at each message."""

_CLOSE_S = 2.0


class AccessCheck:
    """The authorization of one request: `revoked` says whether its token, login or role has been taken away."""

    def __init__(
        self, caller: Caller, scope: Scope, tokens: Callable[[], tuple[Token, ...]], sessions: Sessions
    ) -> None:
        self._caller = caller
        self._connection = HTTPConnection(scope)
        self._tokens = tokens
        self._sessions = sessions
        self._checked = tokens()
        self._session = (
            None if "authorization" in self._connection.headers else self._connection.cookies.get(COOKIE)
        )

    def revoked(self) -> Problem | None:
        """401 once the token or the login is gone, 403 once the role is lower; None while authorized."""
        tokens = self._tokens()
        if tokens is self._checked and (
            not tokens or self._session is None or self._sessions.find(self._session) is not None
        ):
            return None
        try:
            caller = authenticate(self._connection, tokens, self._sessions)
        except Problem as problem:
            return problem
        if caller is None:
            return unauthorized("this login has ended; log in again")
        if not caller.may(self._caller.role):
            return Problem(403, f"{caller.name} is a {caller.role} now; connect again")
        self._checked = tokens
        return None


async def serve_http(access: AccessCheck, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve an HTTP request; cut a streamed response off once its caller's access is revoked."""

    async def send_checked(message: Message) -> None:
        if message.get("more_body") and access.revoked() is not None:
            rest.cancel()
            await anyio.lowlevel.checkpoint()
        await send(message)

    with anyio.CancelScope() as rest:
        await app(scope, receive, send_checked)
    if rest.cancelled_caught:
        log.info("response cut off: its caller's access was revoked", path=scope["path"])


async def serve_websocket(access: AccessCheck, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a WebSocket; close it with 4401 or 4403 before any further message once access is revoked."""
    is_accepted = False
    async with anyio.create_task_group() as tasks:

        async def end(problem: Problem) -> None:
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await close_websocket(problem, send)
            await anyio.lowlevel.checkpoint()

        async def send_checked(message: Message) -> None:
            nonlocal is_accepted
            if message["type"] == "websocket.send" and (problem := access.revoked()) is not None:
                await end(problem)
            is_accepted = is_accepted or message["type"] == "websocket.accept"
            await send(message)

        async def check_periodically() -> None:
            while True:
                await anyio.sleep(CHECK_INTERVAL_S)
                if is_accepted and (problem := access.revoked()) is not None:
                    await end(problem)

        tasks.start_soon(check_periodically)
        await app(scope, receive, send_checked)
        tasks.cancel_scope.cancel()


async def close_websocket(problem: Problem, send: Send) -> None:
    """Close an accepted WebSocket with the code 4000 + the status of the problem."""
    await send({"type": "websocket.close", "code": 4000 + problem.status, "reason": problem.detail})
