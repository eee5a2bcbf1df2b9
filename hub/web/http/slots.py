"""Slots for expensive requests: so many at once in all, and so many of one caller."""

from collections import Counter

import anyio


class CallerSlots:
    """At most `total` requests at once, of which one caller has at most `per_caller`.

    A request that finds no free slot waits for one for up to `wait_s` seconds.
    """

    def __init__(self, total: int, per_caller: int, wait_s: float = 0.0) -> None:
        self.refused = 0
        self._total = total
        self._per_caller = per_caller
        self._wait_s = wait_s
        self._held: Counter[str] = Counter()  # by caller
        self._released = anyio.Event()

    @property
    def running(self) -> int:
        """Requests that hold a slot."""
        return self._held.total()

    async def acquire(self, caller: str) -> bool:
        """Occupy a slot; False, and counted as refused, when none is free in time."""
        with anyio.move_on_after(self._wait_s):
            while not self._is_free(caller):
                await self._released.wait()
        if not self._is_free(caller):
            self.refused += 1
            return False
        self._held[caller] += 1
        return True

    def release(self, caller: str) -> None:
        """Free a slot of this caller."""
        self._held[caller] -= 1
        if self._held[caller] <= 0:
            del self._held[caller]
        self._released.set()
        self._released = anyio.Event()

    def _is_free(self, caller: str) -> bool:
        return self.running < self._total and self._held[caller] < self._per_caller
