"""The way into a lane: so many at once, so many waiting, so long at most; the others are told when to return."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from hub.oracle.connection import OracleError


class LaneBusy(OracleError):
    """The lane takes nobody now; nothing was asked of the database. Come back after `retry_after_s` seconds.

    `code` is BUSY (every place taken), BREAKER (the database is away) or FLEET (all hubs together use their share).
    """

    def __init__(self, lane: str, code: str, text: str, retry_after_s: float) -> None:
        super().__init__(code, text)
        self.lane = lane
        self.retry_after_s = retry_after_s


class Admission:
    """`places` at once, in order of arrival; `waiters` may wait, each `wait_s` seconds at most."""

    def __init__(self, lane: str, places: int, waiters: int, wait_s: float) -> None:
        self.refused = 0
        self._lane = lane
        self._waiters = waiters
        self._wait_s = wait_s
        self._limiter = anyio.CapacityLimiter(places)

    @property
    def waiting(self) -> int:
        """Who waits now."""
        return self._limiter.statistics().tasks_waiting

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for the block. Raises `LaneBusy`."""
        if self._limiter.available_tokens < 1 and self.waiting >= self._waiters:
            raise self._busy("too many wait already")
        visitor = object()
        with anyio.move_on_after(self._wait_s) as patience:
            await self._limiter.acquire_on_behalf_of(visitor)
        if patience.cancelled_caught:
            raise self._busy(f"no place became free within {self._wait_s:g} s")
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(visitor)

    def _busy(self, text: str) -> LaneBusy:
        self.refused += 1
        return LaneBusy(self._lane, "BUSY", f"the {self._lane} lane is full: {text}", max(1.0, self._wait_s / 2))
