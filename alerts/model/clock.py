"""The two clocks alerting lives by: a steady one that decides, and the wall that is shown and stored."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where an actor asks for the time; given to it, so that a test can be the clock."""

    def time(self) -> float:
        """Steady seconds; never steps. Samples carry the same clock."""
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
    """What turns steady seconds into epoch seconds now: stored timers must outlive a boot."""
    return clock.now().timestamp() - clock.time()
