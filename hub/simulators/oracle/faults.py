"""The faults and delays of the simulated Oracle, its counters, and its slots in order of arrival."""

import asyncio
import random
import re
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Literal

from hub.simulators.oracle.answers import OraError

Span = tuple[float, float]


@dataclass
class Faults:
    """Live switches. Patterns are regular expressions searched in the SQL text, without regard to case.

    A raised limit admits waiting callers at the next arrival or release, or at once with `server.apply_limits()`.

    connect: "accept", or "silent": TCP accepts and nothing is ever answered; "refuse" is a REFUSE with ORA-12516.
    session_policy: above `session_limit` a connection queues, or is refused by the listener (ORA-12516), or by the
    database (ORA-00018).
    executing_limit: statements that execute at once; the others wait in order of arrival.
    service_s: seconds each statement takes, drawn from the span of the first pattern found in it; times `scale`.
    fetch_s: seconds each further fetch takes, times `scale`.
    hang: statements that never answer. hang_fetch: further fetches never answer. ignore_break: nor do they end when
    the client breaks the call. errors: statements that fail.
    drop_after_rows: the connection is cut in the round trip that would exceed so many rows of a result.
    """

    connect: Literal["accept", "silent", "refuse"] = "accept"
    session_limit: int | None = None
    session_policy: Literal["queue", "refuse", "ora18"] = "queue"
    executing_limit: int | None = None
    service_s: dict[str, Span] = field(default_factory=dict)
    fetch_s: float = 0.0
    scale: float = 1.0
    hang: str | None = None
    hang_fetch: bool = False
    ignore_break: bool = False
    errors: dict[str, OraError] = field(default_factory=dict)
    drop_after_rows: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        self._draws = random.Random(self.seed)

    def service_seconds(self, sql: str) -> float:
        for pattern, (low, high) in self.service_s.items():
            if re.search(pattern, sql, re.IGNORECASE):
                return self._draws.uniform(low, high) * self.scale
        return 0.0

    def is_hanging(self, sql: str) -> bool:
        return self.hang is not None and re.search(self.hang, sql, re.IGNORECASE) is not None

    def error(self, sql: str) -> OraError | None:
        return next((error for text, error in self.errors.items() if re.search(text, sql, re.IGNORECASE)), None)


@dataclass
class Counters:
    """What has happened since the start. `aborted`: statements ended by a break or a lost connection."""

    connections: int = 0
    refused: int = 0
    logins: int = 0
    failed_logins: int = 0
    open_sessions: int = 0
    peak_sessions: int = 0
    queued_sessions: int = 0
    executing: int = 0
    peak_executing: int = 0
    statements: Counter[str] = field(default_factory=Counter)
    reexecutes: int = 0
    fetches: int = 0
    rows: int = 0
    errors: int = 0
    aborted: int = 0
    breaks: int = 0
    dropped: int = 0
    commits: int = 0
    rollbacks: int = 0
    pings: int = 0
    logoffs: int = 0
    cursors_closed: int = 0

    def reset(self) -> None:
        """Count from zero; what is open or executing stays, and is the new peak."""
        kept = {"open_sessions": self.open_sessions, "executing": self.executing}
        kept |= {"peak_sessions": self.open_sessions, "peak_executing": self.executing}
        for each in fields(self):
            if each.name == "statements":
                self.statements.clear()
            else:
                setattr(self, each.name, kept.get(each.name, 0))


class SlotQueue:
    """At most `limit` slots at once (None: no limit), granted in order of arrival."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_full(self) -> bool:
        return self._limit is not None and self._held >= self._limit

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def set_limit(self, limit: int | None) -> None:
        self._limit = limit
        self._admit_waiting()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, and hold it while the block runs."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit_waiting()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._held -= 1
            else:
                self._waiting.remove(turn)
            self._admit_waiting()

    def _admit_waiting(self) -> None:
        while self._waiting and not self.is_full:
            turn = self._waiting.popleft()
            if turn.cancelled():
                continue
            self._held += 1
            turn.set_result(None)
