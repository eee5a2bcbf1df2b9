"""Slots for work that must be limited: so many at once, in order of arrival, and a bounded queue for the rest.

- At most `size` callers hold a slot; at most `max_waiting` more wait, each for `longest_wait_s` seconds at most.
- A caller that is refused or cancelled holds no slot and no position in the queue.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio


class BoundedSlots:
    """Grants slots; a caller without one gets the exception that `refusal(reason)` makes, and is counted."""

    def __init__(
        self, size: int, max_waiting: int, longest_wait_s: float, refusal: Callable[[str], Exception]
    ) -> None:
        self.refused = 0
        self._max_waiting = max_waiting
        self._longest_wait_s = longest_wait_s
        self._refusal = refusal
        self._limiter = anyio.CapacityLimiter(size)

    @property
    def waiting(self) -> int:
        """Callers that wait for a slot."""
        return self._limiter.statistics().tasks_waiting

    @property
    def running(self) -> int:
        """Callers that hold a slot."""
        return self._limiter.statistics().borrowed_tokens

    @asynccontextmanager
    async def slot(self, continues: bool = False) -> AsyncIterator[None]:
        """Hold a slot while the block runs. Raises the refusal.

        A caller that `continues` earlier work waits without a deadline, and is never refused.
        """
        if not continues and self._limiter.available_tokens < 1 and self.waiting >= self._max_waiting:
            raise self._refuse("too many callers wait already")
        borrower = object()
        with anyio.move_on_after(None if continues else self._longest_wait_s) as wait:
            await self._limiter.acquire_on_behalf_of(borrower)
        if wait.cancelled_caught:
            raise self._refuse(f"no slot became free within {self._longest_wait_s:g} s")
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(borrower)

    def _refuse(self, reason: str) -> Exception:
        self.refused += 1
        return self._refusal(reason)
