"""Limits concurrent queries: so many run at once, so many wait, and none waits longer than a deadline."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class LaneFull(Exception):
    """No slot became free in time, or too many callers wait; the caller may retry in `retry_s` seconds."""

    retry_s = 2.0


class Lane:
    """Has `width` slots; up to `max_waiting` callers wait for one, each for `longest_wait_s` seconds at most."""

    def __init__(self, width: int, max_waiting: int, longest_wait_s: float) -> None:
        self.refused = 0
        self._max_waiting = max_waiting
        self._longest_wait_s = longest_wait_s
        self._slots = anyio.CapacityLimiter(width)

    @property
    def waiting(self) -> int:
        """Callers that wait for a slot."""
        return self._slots.statistics().tasks_waiting

    @property
    def running(self) -> int:
        """Callers that hold a slot."""
        return self._slots.statistics().borrowed_tokens

    @asynccontextmanager
    async def slot(self, continues: bool = False) -> AsyncIterator[None]:
        """Hold a slot while the block runs. Raises LaneFull.

        A caller that `continues` earlier work waits without a deadline, and is never refused.
        """
        borrower = object()
        if not continues and self.waiting >= self._max_waiting and self._slots.available_tokens <= 0:
            self._refuse()
        with anyio.move_on_after(None if continues else self._longest_wait_s) as wait:
            await self._slots.acquire_on_behalf_of(borrower)
        if wait.cancelled_caught:
            self._refuse()
        try:
            yield
        finally:
            self._slots.release_on_behalf_of(borrower)

    def _refuse(self) -> None:
        self.refused += 1
        raise LaneFull("too many queries at once; ask again in a moment")
