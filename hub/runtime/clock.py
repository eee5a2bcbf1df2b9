"""The clocks of the hub: the wall clock for people, and a steady clock for durations."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from threading import get_ident

STANDSTILL_S = 2.0
"""Seconds: a running hub reads its clock several times a second, so a longer gap means that it stood still."""

# Linux's CLOCK_MONOTONIC does not count the time a machine is suspended, in which readings grow old all the same.
_elapsed_s: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


class Clock:
    """`steady()` starts at the wall clock's epoch seconds and then never steps, so it continues across a restart.

    It also runs while the hub stands still: stopped by a signal or a debugger, in a paused container, on a
    suspended machine, or with a blocked event loop. `resumed_s` is when the last standstill ended; the first read
    of the clock afterwards sets it, before any code can judge a silence.
    """

    resumed_s = float("-inf")

    def __init__(self) -> None:
        self._offset = time.time() - _elapsed_s()
        self._thread = get_ident()
        self._read_s = _elapsed_s() + self._offset

    def steady(self) -> float:
        """Seconds; only differences are meaningful, within a process exactly and across restarts roughly."""
        now_s = _elapsed_s() + self._offset
        if get_ident() == self._thread:  # other threads may run while the event loop is blocked
            if now_s - self._read_s > STANDSTILL_S:
                self.resumed_s = now_s
            self._read_s = now_s
        return now_s

    def time(self) -> float:
        """The steady clock, under the name that `alerts` uses."""
        return self.steady()

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return datetime.now(UTC)
