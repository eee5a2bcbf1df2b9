"""The lane of people's queries: limits how many run and wait, and asks the others to retry."""

from hub.runtime.slots import BoundedSlots


class LaneFull(Exception):
    """No slot became free in time, or too many callers wait; the caller may retry in `retry_s` seconds."""

    retry_s = 2.0


class Lane(BoundedSlots):
    """Has `width` slots; up to `max_waiting` callers wait for one, each for `longest_wait_s` seconds at most."""

    def __init__(self, width: int, max_waiting: int, longest_wait_s: float) -> None:
        super().__init__(width, max_waiting, longest_wait_s, _full)


def _full(reason: str) -> LaneFull:
    return LaneFull(f"too many queries at once ({reason}); ask again in a moment")
