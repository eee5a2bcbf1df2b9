"""Wakes every task that waits for a change, whether it waits without end or for a time."""

import anyio


class Wakeup:
    """`wake` ends every `wait` that is under way, and none that begins later."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._naps: set[anyio.CancelScope] = set()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return at the next `wake`, or after `timeout_s` seconds."""
        if timeout_s is None:
            await self._event.wait()
            return
        with anyio.CancelScope() as nap:
            self._naps.add(nap)
            try:
                await anyio.sleep(timeout_s)
            finally:
                self._naps.discard(nap)

    def wake(self) -> None:
        """End every wait."""
        self._event.set()
        self._event = anyio.Event()
        for nap in self._naps:
            nap.cancel()
