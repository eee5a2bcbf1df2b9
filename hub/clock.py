"""The two times of the hub: the wall clock people read, and a steady clock that decides durations."""

import time
from datetime import UTC, datetime


class Clock:
    """`steady()` starts at the wall's epoch seconds and then never steps, so that it goes on over a restart."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def steady(self) -> float:
        """Seconds; only differences within a process, and roughly over restarts, mean anything."""
        return time.monotonic() + self._offset

    def time(self) -> float:
        """The steady clock, under the name that alerting knows."""
        return self.steady()

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        return datetime.now(UTC)


def rfc3339(at: datetime) -> str:
    """`2026-03-18T22:14:07.120Z`: UTC with milliseconds."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
