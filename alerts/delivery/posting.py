"""Posts the messages of one receiver, up to eight at once, in the order in which they were enqueued."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import anyio

from alerts.delivery.answers import Gone, Outcome, Wait
from alerts.model.clock import Clock
from alerts.model.delivery import Delivery

_IN_FLIGHT = 8

Post = Callable[[Delivery, datetime], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a delivery. `outcome` is None where it was not tried: the receiver wants no more for now."""

    delivery: Delivery
    outcome: Outcome | None
    at: datetime
    duration_s: float


Enqueue = Callable[[Sequence[Delivery]], None]
"""Takes deliveries to be posted; never waits."""

OnSent = Callable[[Sequence[Sent]], None]
OpenPosting = Callable[[OnSent], AbstractAsyncContextManager[Enqueue]]
"""Posts while the block lasts; leaving it breaks off what is under way."""


@asynccontextmanager
async def open_posting(post: Post, clock: Clock, on_sent: OnSent) -> AsyncIterator[Enqueue]:
    """Post what is enqueued; `on_sent` is called with what became of it."""
    waiting: deque[Delivery] = deque()
    free = _IN_FLIGHT

    async def post_waiting() -> None:
        nonlocal free
        try:
            while waiting:
                delivery, at, started_s = waiting.popleft(), clock.now(), clock.time()
                outcome = await post(delivery, at)
                on_sent([Sent(delivery, outcome, at, clock.time() - started_s)])
                if isinstance(outcome, Gone | Wait) and waiting:
                    on_sent([Sent(left, None, at, 0.0) for left in waiting])
                    waiting.clear()
        finally:
            free += 1

    def enqueue(deliveries: Sequence[Delivery]) -> None:
        nonlocal free
        waiting.extend(deliveries)
        for _ in range(min(free, len(waiting))):
            free -= 1
            tasks.start_soon(post_waiting)

    async with anyio.create_task_group() as tasks:
        yield enqueue
        tasks.cancel_scope.cancel()
