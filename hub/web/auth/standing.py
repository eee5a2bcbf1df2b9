"""Whether a caller who was let in may still be here: asked for as long as a request or a stream lasts."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.config.models import Token
from hub.web.auth.security import COOKIE, Caller, Sessions, admit, unauthorized
from hub.web.http.problems import Problem

log = structlog.get_logger()

LOOK_S = 1.0
"""How often a stream that sends nothing is looked at; one that sends is checked at each message."""

_CLOSE_S = 2.0


class Standing:
    """A caller as admitted, and whether it still holds."""

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

    def lapse(self) -> Problem | None:
        """401 once the token or the login is gone, 403 once the role is below what it was; None while it holds."""
        tokens = self._tokens()
        if tokens is self._checked and (
            not tokens or self._session is None or self._sessions.find(self._session) is not None
        ):
            return None
        try:
            caller = admit(self._connection, tokens, self._sessions)
        except Problem as problem:
            return problem
        if caller is None:
            return unauthorized("this login has ended; log in again")
        if not caller.may(self._caller.role):
            return Problem(403, f"{caller.name} is a {caller.role} now; connect again")
        self._checked = tokens
        return None


async def serve_download(standing: Standing, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve an HTTP request; what streams is cut off once the caller may no longer have it."""

    async def send_checked(message: Message) -> None:
        if message.get("more_body") and standing.lapse() is not None:
            rest.cancel()
            await anyio.lowlevel.checkpoint()
        await send(message)

    with anyio.CancelScope() as rest:
        await app(scope, receive, send_checked)
    if rest.cancelled_caught:
        log.info("download ended: its caller is no longer allowed it", path=scope["path"])


async def serve_socket(standing: Standing, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a WebSocket; it is closed with 4401 or 4403 before the first message its caller may not have."""
    is_accepted = False
    async with anyio.create_task_group() as tasks:

        async def end(problem: Problem) -> None:
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await close_socket(problem, send)
            await anyio.lowlevel.checkpoint()

        async def send_checked(message: Message) -> None:
            nonlocal is_accepted
            if message["type"] == "websocket.send" and (problem := standing.lapse()) is not None:
                await end(problem)
            is_accepted = is_accepted or message["type"] == "websocket.accept"
            await send(message)

        async def look() -> None:
            while True:
                await anyio.sleep(LOOK_S)
                if is_accepted and (problem := standing.lapse()) is not None:
                    await end(problem)

        tasks.start_soon(look)
        await app(scope, receive, send_checked)
        tasks.cancel_scope.cancel()


async def close_socket(problem: Problem, send: Send) -> None:
    """Close an accepted WebSocket for a problem: its status and 4000."""
    await send({"type": "websocket.close", "code": 4000 + problem.status, "reason": problem.detail})
