"""A limit on messages, such as 10/min: pure, a sliding window of the last sends."""

import re
from collections import deque

_PERIOD_S = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"(\d+)\s*/\s*(s|min|m|h)")


def parse_rate(text: str) -> tuple[int, float]:
    """Count and period in seconds of `10/min`. Raises ValueError with what to write instead."""
    match = _RATE.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a rate; write a count and a period, such as 1/s, 10/min, 100/h")
    return int(match[1]), _PERIOD_S[match[2]]


class Rate:
    """How many messages may be sent now. The last permit of a window should send all that wait, as one digest."""

    def __init__(self, count: int, period_s: float) -> None:
        self._count = count
        self._period_s = period_s
        self._sent: deque[float] = deque(maxlen=count)

    def left(self, now_s: float) -> int:
        """Permits left at this moment."""
        while self._sent and self._sent[0] + self._period_s <= now_s:
            self._sent.popleft()
        return self._count - len(self._sent)

    def free_at_s(self, now_s: float) -> float:
        """When the next permit is free; not before now."""
        return now_s if self.left(now_s) else self._sent[0] + self._period_s

    def spend(self, now_s: float) -> None:
        """Count a message that was sent."""
        self._sent.append(now_s)
