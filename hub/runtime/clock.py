"""The two times of the hub: the wall clock people read, and a steady clock that decides durations."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from threading import get_ident

STANDSTILL_S = 2.0
"""A running hub reads its clock several times a second; when it has not for so long, it stood still itself."""

# Linux's CLOCK_MONOTONIC does not count the time a machine is suspended, in which readings grow old all the same.
_elapsed_s: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class Clock:
    """`steady()` starts at the wall's epoch seconds and then never steps, so that it goes on over a restart.

    It goes on while the hub itself stands still: stopped by a signal or a debugger, in a paused container or
    machine, in a suspended one, or with its event loop held up. `resumed_s` is when that last ended. The first
    to read the clock afterwards notices, so whoever judges a silence knows of it, whatever runs first then.
    """

    resumed_s = float("-inf")

    def __init__(self) -> None:
        self._offset = time.time() - _elapsed_s()
        self._thread = get_ident()
        self._read_s = _elapsed_s() + self._offset

    def steady(self) -> float:
        """Seconds; only differences within a process, and roughly over restarts, mean anything."""
        now_s = _elapsed_s() + self._offset
        if get_ident() == self._thread:  # other threads may run on while the event loop is held up
            if now_s - self._read_s > STANDSTILL_S:
                self.resumed_s = now_s
            self._read_s = now_s
        return now_s

    def time(self) -> float:
        """The steady clock, under the name that alerting knows."""
        return self.steady()

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """`2026-03-18T22:14:07.120Z`: UTC with milliseconds."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
