"""The queue of requests for an instrument's only connection: the most urgent first."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, Generic, TypeVar

import anyio

from hub.instruments.exchange import NotWanted, Priority
from hub.runtime.clock import Clock

T = TypeVar("T")

_LONGEST_SLEEP_S = 1.0
_GRAIN_S = 0.001  # event loops wake up to a millisecond early


class Request(Generic[T]):
    """One request. `wanted` is called at the moment of sending and says whether to send it; None: always."""

    def __init__(self, wanted: Callable[[], bool] | None = None) -> None:
        self._wanted = wanted
        self._done = anyio.Event()
        self._answer: list[T] = []
        self._error: Exception | None = None
        self.is_abandoned = False

    @property
    def is_done(self) -> bool:
        """True once it was answered or has failed."""
        return self._done.is_set()

    @property
    def is_answered(self) -> bool:
        """True once it was answered."""
        return bool(self._answer)

    def is_wanted(self) -> bool:
        """Whether to send the request; fails it with NotWanted if `wanted` says no."""
        if self._wanted is not None and not self._wanted():
            self.fail(NotWanted())
        return not self.is_done

    def answer(self, answer: T) -> None:
        """Have `wait` return the answer."""
        self._answer.append(answer)
        self._done.set()

    def fail(self, error: Exception) -> None:
        """Have `wait` raise the error."""
        self._error = error
        self._done.set()

    async def wait(self) -> T:
        """Wait for the answer, or raise the error of `fail`. A cancelled waiter abandons the request."""
        try:
            await self._done.wait()
        finally:
            self.is_abandoned = True
        if self._error is not None:
            raise self._error
        return self._answer[0]


R = TypeVar("R", bound=Request[Any])


class Inbox(Generic[R]):
    """A queue of requests, ordered by priority, then by arrival."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[Priority, int, R]] = []
        self._order = count()
        self._wakeup: anyio.Event | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, request: R, priority: Priority) -> None:
        """Enqueue a request; the caller then awaits it."""
        heapq.heappush(self._waiting, (priority, next(self._order), request))
        self.wake()

    def wake(self) -> None:
        """Have `next` check again."""
        if self._wakeup is not None:
            self._wakeup.set()

    async def next(self, ready_s: Callable[[], float]) -> R:
        """The most urgent request, once there is one and the time is `ready_s` (steady clock, seconds).

        `ready_s` is called once a second at least, because a pause may be shortened meanwhile.
        """
        while True:
            while self._waiting and self._waiting[0][2].is_abandoned:
                heapq.heappop(self._waiting)
            if not self._waiting:
                self._wakeup = anyio.Event()
                await self._wakeup.wait()
                continue
            delay = ready_s() - self._clock.steady()
            if delay <= 0:
                return heapq.heappop(self._waiting)[2]
            await anyio.sleep(min(delay, _LONGEST_SLEEP_S) + _GRAIN_S)

    def fail_all(self, error: Callable[[], Exception]) -> None:
        """Fail every request that waits."""
        for _, _, request in self._waiting:
            request.fail(error())
        self._waiting.clear()
