"""A bounded lane: so many callers at once, so many waiting, none of them for long."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class LaneFull(Exception):
    """Every place is taken and nobody may wait any more; the caller should ask again in `retry_s` seconds."""

    retry_s = 2.0


class Lane:
    """Gives `width` places; up to `queue` callers wait for one, each for `patience_s` at most."""

    def __init__(self, width: int, queue: int, patience_s: float) -> None:
        self.refused = 0
        self._queue = queue
        self._patience_s = patience_s
        self._places = anyio.CapacityLimiter(width)

    @property
    def waiting(self) -> int:
        """Callers without a place yet."""
        return self._places.statistics().tasks_waiting

    @property
    def busy(self) -> int:
        """Places taken."""
        return self._places.statistics().borrowed_tokens

    @asynccontextmanager
    async def place(self, goes_on: bool = False) -> AsyncIterator[None]:
        """Holds a place while the block lasts. Raises LaneFull.

        A caller that has begun and `goes_on` waits for as long as it takes: it was let in once.
        """
        borrower = object()
        if not goes_on and self.waiting >= self._queue and self._places.available_tokens <= 0:
            self._refuse()
        with anyio.move_on_after(None if goes_on else self._patience_s) as patience:
            await self._places.acquire_on_behalf_of(borrower)
        if patience.cancelled_caught:
            self._refuse()
        try:
            yield
        finally:
            self._places.release_on_behalf_of(borrower)

    def _refuse(self) -> None:
        self.refused += 1
        raise LaneFull("too many queries at once; ask again in a moment")
