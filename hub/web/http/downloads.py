"""Long answers: so many at once, in all and of one caller; others are asked to come back."""

from collections import Counter
from typing import Any

import anyio
from fastapi import Depends
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.web.http.bodies import declarations, who_of
from hub.web.http.problems import ProblemResponse, busy

_TOGETHER = 32
_OF_ONE = 16
_WAIT_S = 2.0
_RETRY_S = 5


class DownloadLane:
    """Room for long answers. Who finds none waits for a moment: most of them end soon."""

    def __init__(self, together: int = _TOGETHER, of_one: int = _OF_ONE, wait_s: float = _WAIT_S) -> None:
        self.refused = 0
        self._together = together
        self._of_one = of_one
        self._wait_s = wait_s
        self._of: Counter[str] = Counter()
        self._left = anyio.Event()

    @property
    def running(self) -> int:
        """Answers under way."""
        return self._of.total()

    async def enter(self, who: str) -> bool:
        """Take room for one; False when there is none in time."""
        with anyio.move_on_after(self._wait_s):
            while not self._has_room(who):
                await self._left.wait()
        if not self._has_room(who):
            self.refused += 1
            return False
        self._of[who] += 1
        return True

    def leave(self, who: str) -> None:
        """The answer has ended."""
        self._of[who] -= 1
        if self._of[who] <= 0:
            del self._of[who]
        self._left.set()
        self._left = anyio.Event()

    def _has_room(self, who: str) -> bool:
        return self.running < self._together and self._of[who] < self._of_one


class Streams:
    """A dependency that declares that the answer of a route may be long, and so needs room."""

    async def __call__(self) -> None:
        """Nothing is left to do: the middleware has made room before the first query."""


def streams() -> list[Any]:
    """The dependencies of a route whose answer may be long."""
    return [Depends(Streams())]


class Downloads:
    """ASGI middleware behind the gate: a long answer is not begun before there is room for it."""

    def __init__(self, app: ASGIApp, lane: DownloadLane) -> None:
        self._app = app
        self._lane = lane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not any(declarations(scope.get("hub.route"), Streams)):
            await self._app(scope, receive, send)
            return
        who = who_of(scope)
        if not await self._lane.enter(who):
            problem = busy("too many downloads are under way; ask again when one has ended", _RETRY_S)
            await ProblemResponse(problem)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._lane.leave(who)
