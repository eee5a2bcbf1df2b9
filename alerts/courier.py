"""Carries messages to one receiver, up to eight at once, in the order they were handed over."""

import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from typing import TypeVar

import anyio

from alerts.answers import Gone, Outcome, Wait
from alerts.bell import Bell
from alerts.clock import Clock
from alerts.delivery import Delivery
from alerts.webhook import Webhook

_IN_FLIGHT = 8
_LEAVE_S = 2.0  # a courier breaks off at once, but for a second in which it closes its connections

T = TypeVar("T")

Post = Callable[[Delivery, datetime], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a delivery. `outcome` is None where it was not tried: the receiver wants no more for now."""

    delivery: Delivery
    outcome: Outcome | None
    at: datetime
    duration_s: float


Hand = Callable[[Sequence[Delivery]], None]
"""Hands deliveries over; never waits."""

OnSent = Callable[[Sequence[Sent]], None]
OpenCourier = Callable[[OnSent], AbstractAsyncContextManager[Hand]]
"""A courier at work while the block lasts; leaving it breaks off what is under way."""


@asynccontextmanager
async def open_courier(post: Post, clock: Clock, on_sent: OnSent) -> AsyncIterator[Hand]:
    """A courier in this event loop."""
    waiting: deque[Delivery] = deque()
    free = _IN_FLIGHT

    async def carry() -> None:
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

    def hand(deliveries: Iterable[Delivery]) -> None:
        nonlocal free
        waiting.extend(deliveries)
        for _ in range(min(free, len(waiting))):
            free -= 1
            tasks.start_soon(carry)

    async with anyio.create_task_group() as tasks:
        yield hand
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_courier_with_own_loop(webhook: Webhook, clock: Clock, on_sent: OnSent) -> AsyncIterator[Hand]:
    """A courier in a thread with an event loop of its own; `on_sent` is called in this one.

    So the next message goes out the moment an answer is in, however long the turns of this loop are: in a burst of
    a hundred alarms beside a thousand meters that is the larger part of the time.
    """
    handed: deque[Delivery] = deque()
    sent: deque[Sent] = deque()
    is_over = is_done = False
    crash: BaseException | None = None

    def tell(news: Sequence[Sent]) -> None:
        sent.extend(news)
        news_bell.ring()

    def end(error: BaseException | None = None) -> None:
        nonlocal crash, is_done
        crash, is_done = error, True
        news_bell.ring()

    def check() -> None:
        nonlocal crash
        error, crash = crash, None
        if error is not None:
            raise error

    async def work_there() -> None:
        try:
            async with webhook, open_courier(webhook.post, clock, tell) as hand:
                while not is_over:
                    await work_bell.wait()
                    hand(_drain(handed))
        except BaseException as error:  # noqa: BLE001 - is raised in the other loop
            end(error)
        else:
            end()

    def run_there() -> None:
        try:
            anyio.run(work_there, backend_options={"use_uvloop": find_spec("uvloop") is not None})
        except BaseException as error:
            if is_done:
                raise
            end(error)

    async def listen() -> None:
        while not is_done:
            await news_bell.wait()
            if news := _drain(sent):
                on_sent(news)
        check()

    def hand_over(deliveries: Sequence[Delivery]) -> None:
        handed.extend(deliveries)
        work_bell.ring()

    with Bell() as news_bell, Bell() as work_bell:
        # Nobody waits for the thread itself: closing its loop takes as long as a resolver that does not answer.
        threading.Thread(target=run_there, name="courier", daemon=True).start()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                yield hand_over
                tasks.cancel_scope.cancel()
        finally:
            is_over = True
            work_bell.ring()
            with anyio.move_on_after(_LEAVE_S, shield=True):
                while not is_done:
                    await news_bell.wait()
            if news := _drain(sent):  # answered until the very end, and not to be sent again
                on_sent(news)
            check()


def _drain(queue: deque[T]) -> list[T]:
    """What is in the queue now, while another thread may add to it."""
    return [queue.popleft() for _ in range(len(queue))]
