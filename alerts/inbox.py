"""Samples that wait to be evaluated: a bounded queue that drops the oldest."""

from collections import deque
from collections.abc import Callable, Iterable

import anyio

from alerts.model.sample import Sample

_CHUNK = 500  # samples, and rules put to them, between two looks at other tasks


class Inbox:
    """Holds `room` samples and calls `evaluate` with each, in the order they came."""

    def __init__(self, room: int, evaluate: Callable[[Sample], int]) -> None:
        """`evaluate` returns how many rules it has put to the sample."""
        self._room = room
        self._evaluate = evaluate
        self._samples: deque[Sample] = deque()
        self._came = anyio.Event()

    def __len__(self) -> int:
        return len(self._samples)

    def put_nowait(self, samples: Iterable[Sample]) -> int:
        """Add samples at the end; returns how many of the oldest had to be dropped for them."""
        self._samples.extend(samples)
        dropped = max(0, len(self._samples) - self._room)
        for _ in range(dropped):
            self._samples.popleft()
        self._came.set()
        return dropped

    async def run(self) -> None:
        """Evaluate what comes until cancelled, letting other tasks run in between."""
        while True:
            await self._came.wait()
            self._came = anyio.Event()
            await self.evaluate_all()

    async def evaluate_all(self) -> None:
        """Evaluate all there is; at the end, after `run`, too."""
        while self._samples:
            left = _CHUNK
            while self._samples and left > 0:
                left -= 1 + self._evaluate(self._samples.popleft())
            await anyio.lowlevel.checkpoint()
