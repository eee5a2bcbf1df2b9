"""Limits request bodies: each by what its route declares, all of them together by a budget of memory."""

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

DEFAULT_LIMIT = 64 << 10
"""Bytes that the body of a route without a declaration may have."""

_BUDGET_BYTES = 16 << 20  # parsed, a body needs up to ten times its size
_RETRY_S = 2


class BodyLimit:
    """A dependency that declares how many bytes the body of a route may have."""

    def __init__(self, size: int) -> None:
        self.size = size

    async def __call__(self) -> None:
        """Do nothing: the middleware has read the declaration before the body."""


def body_limit(size: int) -> list[Any]:
    """The dependencies of a route whose body may have `size` bytes."""
    return [Depends(BodyLimit(size))]


class BodyBudget:
    """Bytes of request bodies in memory, each from its first byte to the end of its request.

    At most `total` bytes in all, and at most half of that of one caller.
    """

    def __init__(self, total: int = _BUDGET_BYTES) -> None:
        self.refused = 0
        self._total = total
        self._reserved: Counter[str] = Counter()  # bytes by caller

    @property
    def reserved(self) -> int:
        """Bytes reserved now."""
        return self._reserved.total()

    def reserve(self, caller: str, size: int) -> bool:
        """Reserve the bytes of a body; False, and counted as refused, when they exceed the budget."""
        if self.reserved + size > self._total or self._reserved[caller] + size > self._total // 2:
            self.refused += 1
            return False
        self._reserved[caller] += size
        return True

    def release(self, caller: str, size: int) -> None:
        """Return the bytes of a request that has ended."""
        self._reserved[caller] -= size
        if self._reserved[caller] <= 0:
            del self._reserved[caller]


class Bodies:
    """ASGI middleware behind the auth middleware, so that it reads no body of an unauthorized caller."""

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
        limit = body_limit_of(scope.get("hub.route"))
        size = limit if is_chunked or not declared.isdecimal() else int(declared)
        if size > limit:
            await ProblemResponse(Problem(413, _too_large(limit)))(scope, receive, send)
            return
        caller = caller_key(scope)
        if not self._budget.reserve(caller, size):
            problem = busy("too much is being sent to the hub at once; send it again", _RETRY_S)
            await ProblemResponse(problem)(scope, receive, send)
            return
        try:
            await self._app(scope, _bounded(receive, limit), send)
        finally:
            self._budget.release(caller, size)


def body_limit_of(route: object) -> int:
    """Bytes that the body of a route may have, as the route declares."""
    return max((limit.size for limit in declarations(route, BodyLimit)), default=DEFAULT_LIMIT)


def declarations(route: object, kind: type[T]) -> Iterator[T]:
    """The dependencies of this class that a route declares."""
    dependant = getattr(route, "dependant", None)
    if isinstance(dependant, Dependant):
        yield from (each.call for each in dependant.dependencies if isinstance(each.call, kind))


def caller_key(scope: Scope) -> str:
    """The key under which limits count a request: the caller's name, or the address of an anonymous one."""
    caller = scope.get("hub.caller")
    if caller is not None:
        return f"caller {caller.name}"
    client = scope.get("client")
    return f"address {client[0]}" if client else "unknown"


def _too_large(limit: int) -> str:
    return f"a body may have up to {limit} bytes here"


def _bounded(receive: Receive, limit: int) -> Receive:
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(413, _too_large(limit))
        return message

    return receive_bounded
