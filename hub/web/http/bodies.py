"""Bodies of requests: each bounded by what its route needs, all of them together by what may be in memory."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

from fastapi import Depends
from fastapi.dependencies.models import Dependant
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.web.http.problems import Problem, ProblemResponse, busy

T = TypeVar("T")

MOST = 64 << 10
"""Bytes that a body may have where its route says nothing else."""

_TOGETHER = 16 << 20  # parsed, a body takes up to ten times as much
_RETRY_S = 2


class Takes:
    """A dependency that declares how many bytes the body of a route may have."""

    def __init__(self, most: int) -> None:
        self.most = most

    async def __call__(self) -> None:
        """Nothing is left to do: the middleware has read the declaration before the body."""


def takes(most: int) -> list[Any]:
    """The dependencies of a route whose body may have `most` bytes."""
    return [Depends(Takes(most))]


class BodyBudget:
    """Bytes of bodies in memory, from their first byte to the end of their request: of one caller half of all."""

    def __init__(self, together: int = _TOGETHER) -> None:
        self.refused = 0
        self._together = together
        self._of: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """Bytes spoken for."""
        return self._of.total()

    def take(self, who: str, size: int) -> bool:
        """Speak for the bytes of a body; False where there is no room now."""
        if self.taken + size > self._together or self._of[who] + size > self._together // 2:
            self.refused += 1
            return False
        self._of[who] += size
        return True

    def give(self, who: str, size: int) -> None:
        """The request is over."""
        self._of[who] -= size
        if self._of[who] <= 0:
            del self._of[who]


class Bodies:
    """ASGI middleware behind the gate: nobody's body is read who may not send one."""

    def __init__(self, app: ASGIApp, budget: BodyBudget) -> None:
        self._app = app
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        declared = headers.get("content-length", "0")
        is_chunked = "transfer-encoding" in headers
        if not is_chunked and declared == "0":
            await self._app(scope, receive, send)
            return
        most = most_of(scope.get("hub.route"))
        size = most if is_chunked or not declared.isdecimal() else int(declared)
        if size > most:
            await ProblemResponse(Problem(413, _too_large(most)))(scope, receive, send)
            return
        who = who_of(scope)
        if not self._budget.take(who, size):
            problem = busy("too much is being sent to the hub at once; send it again", _RETRY_S)
            await ProblemResponse(problem)(scope, receive, send)
            return
        try:
            await self._app(scope, _bounded(receive, most), send)
        finally:
            self._budget.give(who, size)


def most_of(route: object) -> int:
    """Bytes that the body of a route may have, as it declares."""
    return max((takes.most for takes in declarations(route, Takes)), default=MOST)


def declarations(route: object, kind: type[T]) -> Iterator[T]:
    """What a route declares by dependencies of this kind."""
    dependant = getattr(route, "dependant", None)
    if isinstance(dependant, Dependant):
        yield from (each.call for each in dependant.dependencies if isinstance(each.call, kind))


def who_of(scope: Scope) -> str:
    """Whose share a request is of: the name of the caller, or the address of somebody unknown."""
    caller = scope.get("hub.caller")
    if caller is not None:
        return f"caller {caller.name}"
    client = scope.get("client")
    return f"address {client[0]}" if client else "unknown"


def _too_large(most: int) -> str:
    return f"a body may have up to {most} bytes here"


def _bounded(receive: Receive, most: int) -> Receive:
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise HTTPException(413, _too_large(most))
        return message

    return receive_bounded
