"""Admission to a lane: limits the statements at once, the callers that wait, and how long; refuses the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from hub.oracle.connection import OracleError


class LaneBusy(OracleError):
    """The lane refuses the statement before anything is sent to the database; retry in `retry_after_s` seconds.

    `code` is BUSY (no free slot), BREAKER (the database is unavailable) or FLEET (the sessions of all hubs are
    used up).
    """

    def __init__(self, lane: str, code: str, text: str, retry_after_s: float) -> None:
        super().__init__(code, text)
        self.lane = lane
        self.retry_after_s = retry_after_s


class Admission:
    """`slots` callers at once, in order of arrival; `waiters` more may wait, each for `wait_s` seconds at most."""

    def __init__(self, lane: str, slots: int, waiters: int, wait_s: float) -> None:
        self.refused = 0
        self._lane = lane
        self._waiters = waiters
        self._wait_s = wait_s
        self._limiter = anyio.CapacityLimiter(slots)

    @property
    def waiting(self) -> int:
        """Callers that wait now."""
        return self._limiter.statistics().tasks_waiting

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot while the block runs. Raises `LaneBusy`."""
        if self._limiter.available_tokens < 1 and self.waiting >= self._waiters:
            raise self._busy("too many callers wait already")
        borrower = object()
        with anyio.move_on_after(self._wait_s) as wait:
            await self._limiter.acquire_on_behalf_of(borrower)
        if wait.cancelled_caught:
            raise self._busy(f"no slot became free within {self._wait_s:g} s")
        try:
            yield
        finally:
            self._limiter.release_on_behalf_of(borrower)

    def _busy(self, text: str) -> LaneBusy:
        self.refused += 1
        return LaneBusy(self._lane, "BUSY", f"the {self._lane} lane is full: {text}", max(1.0, self._wait_s / 2))
