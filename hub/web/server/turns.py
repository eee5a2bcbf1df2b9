"""Lets a few requests begin in each turn of the event loop, so that a flood of them holds up nothing else.

Invariants:
- In one turn at most `per_turn` requests begin. The others wait, and begin in the order in which they came.
- While requests wait, the next turn is always scheduled.
"""

import asyncio
from collections import deque

import anyio

_PER_TURN = 8


class Turns:
    """Requests call `wait` before they do anything."""

    def __init__(self, per_turn: int = _PER_TURN) -> None:
        self._per_turn = self._left = per_turn
        self._waiting: deque[anyio.Event] = deque()
        self._is_scheduled = False

    async def wait(self) -> None:
        """Return at once while fewer than `per_turn` requests have begun in this turn, else in a later one."""
        self._schedule()
        if self._left and not self._waiting:
            self._left -= 1
            return
        begin = anyio.Event()
        self._waiting.append(begin)
        try:
            await begin.wait()
        finally:
            if not begin.is_set():
                self._waiting.remove(begin)

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._is_scheduled = False
        self._left = self._per_turn
        while self._waiting and self._left:
            self._left -= 1
            self._waiting.popleft().set()
        if self._left < self._per_turn:
            self._schedule()
