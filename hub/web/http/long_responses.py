"""Limits how many long responses run at once; a request beyond the limit gets 503 with Retry-After."""

from typing import Any

from fastapi import Depends
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.web.http.bodies import caller_key, declarations
from hub.web.http.problems import ProblemResponse, busy
from hub.web.http.slots import CallerSlots

_TOTAL = 32
_PER_CALLER = 16
_WAIT_S = 2.0  # most long responses end soon
_RETRY_S = 5


class LongResponse:
    """A dependency that declares that the response of a route may be long, and so needs a slot."""

    async def __call__(self) -> None:
        """Do nothing: the middleware has acquired the slot before the first query."""


def long_response() -> list[Any]:
    """The dependencies of a route whose response may be long."""
    return [Depends(LongResponse())]


def long_response_slots() -> CallerSlots:
    """The slots that all long responses share."""
    return CallerSlots(_TOTAL, _PER_CALLER, _WAIT_S)


class LongResponses:
    """ASGI middleware behind the auth middleware: a long response holds a slot from its start to its end."""

    def __init__(self, app: ASGIApp, slots: CallerSlots) -> None:
        self._app = app
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not any(declarations(scope.get("hub.route"), LongResponse)):
            await self._app(scope, receive, send)
            return
        caller = caller_key(scope)
        if not await self._slots.acquire(caller):
            problem = busy("too many downloads are under way; ask again when one has ended", _RETRY_S)
            await ProblemResponse(problem)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._slots.release(caller)
