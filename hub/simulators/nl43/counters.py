"""The counters of a simulated meter, which tests and benches evaluate."""

import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_MOST_NAMES = 256
_LOG_LENGTH = 1000
_OTHERS = "others"


class Received(NamedTuple):
    """A command line and its arrival, in seconds of the meter's steady clock."""

    time: float
    line: str


class Crossing(NamedTuple):
    """A level that the meter was set to, when (wall time, s), and when it first sent a line with it."""

    lp: float
    asked_at: float
    sent_at: float | None = None


@dataclass
class Counters:
    """The counters of one meter since it was switched on.

    `second_connections` misses those that the kernel handles alone, in the modes `hang` and `refuse`.
    `overlapping` counts command lines that arrived before the previous command was finished, or during a stream.
    `least_gap_s` runs from the end of a reply to the next command, over reconnects too; `least_dod_gap_s` from the
    reply to one `DOD?` to the next `DOD?`. The log keeps the last 1,000 lines.
    """

    connections: int = 0
    second_connections: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    overlapping: int = 0
    least_gap_s: float = math.inf
    least_dod_gap_s: float = math.inf
    replies: int = 0
    stream_lines: int = 0
    overruns: int = 0
    log: deque[Received] = field(default_factory=lambda: deque(maxlen=_LOG_LENGTH))

    def received(self, time: float, line: str) -> None:
        self.log.append(Received(time, line))
        known = line in self.commands or len(self.commands) < _MOST_NAMES
        self.commands[line if known else _OTHERS] += 1

    def as_json(self) -> dict[str, Any]:
        """The counters without the log; a gap that did not occur is null."""
        return {
            "connections": self.connections,
            "second_connections": self.second_connections,
            "commands": dict(self.commands),
            "overlapping": self.overlapping,
            "least_gap_s": None if math.isinf(self.least_gap_s) else self.least_gap_s,
            "least_dod_gap_s": None if math.isinf(self.least_dod_gap_s) else self.least_dod_gap_s,
            "replies": self.replies,
            "stream_lines": self.stream_lines,
            "overruns": self.overruns,
        }
