"""Streaming answers: so many at once, in all and of one caller; others are asked to come back."""

from collections import Counter

import anyio
import anyio.lowlevel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.web.bodies import who_of
from hub.web.problems import ProblemResponse, busy

_TOGETHER = 32
_OF_ONE = 16
_WAIT_S = 2.0
_RETRY_S = 5


class DownloadLane:
    """Room for streaming answers. Who finds none waits for a moment: most of them are short."""

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


class Downloads:
    """ASGI middleware behind the gate. An answer is known to stream by its first piece: its head waits for that."""

    def __init__(self, app: ASGIApp, lane: DownloadLane) -> None:
        self._app = app
        self._lane = lane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        who = who_of(scope)
        head: Message | None = None
        has_entered = is_refused = False

        async def send_counted(message: Message) -> None:
            nonlocal head, has_entered, is_refused
            if message["type"] == "http.response.start":
                head = message
                return
            if head is not None:
                if message.get("more_body"):
                    has_entered = await self._lane.enter(who)
                    if not has_entered:
                        is_refused = True
                        rest.cancel()
                        await anyio.lowlevel.checkpoint()
                first, head = head, None
                await send(first)
            await send(message)

        with anyio.CancelScope() as rest:
            try:
                await self._app(scope, receive, send_counted)
            finally:
                if has_entered:
                    self._lane.leave(who)
        if is_refused:
            problem = busy("too many downloads are under way; ask again when one has ended", _RETRY_S)
            await ProblemResponse(problem)(scope, receive, send)
