"""The order of writers: alerts, which are announced once committed, are written before readings.

Invariants:

- Without an urgent writer nobody waits.
- The others wait while an urgent writer waits or works, and `_QUIET_S` longer, so that announcing what it has
  committed does not compete with their threads; but for at most `_LONGEST_WAIT_S` per rush.
- A rush is a time in which urgent writers follow each other within `_QUIET_S`. Once the others have waited
  `_LONGEST_WAIT_S` in a rush, they write between the urgent writers until it ends.
- The time they may wait again grows back as fast as time passes without a rush, so that many short rushes in a row
  leave the others half of the time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

_QUIET_S = 0.1  # in which the committed alerts are announced: another writer's thread would delay that
_LONGEST_WAIT_S = 0.35  # with the time in which readings are collected, they are stored within a second
_POLL_S = 0.02


class Precedence:
    """Makes the other writers wait for the urgent ones. All times are seconds of the event loop's clock."""

    def __init__(self) -> None:
        self._urgent = 0
        self._quiet_s = -_LONGEST_WAIT_S  # when the rush is over
        self._wait_until_s = 0.0  # how long the others wait in this rush

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Count an urgent writer that waits or works while the block runs."""
        now_s = anyio.current_time()
        if not self._urgent and now_s >= self._quiet_s:
            left_s = max(0.0, self._wait_until_s - self._quiet_s)
            self._wait_until_s = now_s + min(_LONGEST_WAIT_S, left_s + now_s - self._quiet_s)
        self._urgent += 1
        try:
            yield
        finally:
            self._urgent -= 1
            self._quiet_s = anyio.current_time() + _QUIET_S

    async def wait_turn(self) -> None:
        """Wait until a writer that is not urgent may write."""
        while True:
            now_s = anyio.current_time()
            if now_s >= self._wait_until_s or not (self._urgent or now_s < self._quiet_s):
                return
            await anyio.sleep(_POLL_S)
