"""Samples that wait to be evaluated: a bounded queue that drops the oldest."""

from collections import deque
from collections.abc import Iterable

import anyio

from alerts.model.sample import Sample


class Inbox:
    """Holds `room` samples. One reader; any number of writers, none of which waits."""

    def __init__(self, room: int) -> None:
        self._room = room
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

    def pop(self) -> Sample:
        """The oldest sample. Raises IndexError where there is none."""
        return self._samples.popleft()

    async def wait(self) -> None:
        """Return once samples were added since the last call."""
        await self._came.wait()
        self._came = anyio.Event()
