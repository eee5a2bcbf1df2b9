"""The two clocks of alerting: the steady one decides, the wall clock is shown and stored."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The interface to both clocks; constructors receive it, so that a test can replace it."""

    def time(self) -> float:
        """Steady seconds; never steps. The `time` of samples is of this clock."""
        ...

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def time(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return time.monotonic()

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return datetime.now(UTC)


def wall_offset_s(clock: Clock) -> float:
    """Added to steady seconds this gives epoch seconds, in which timers are stored: the steady clock restarts."""
    return clock.now().timestamp() - clock.time()
