"""Deadlines that the driver bears: a call in flight is never cancelled, its connection is dropped under it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import anyio

from hub.oracle.connection import Connection, DeadlineExceeded

T = TypeVar("T")

_GIVE_UP_S = 1.0
"""How long a call may take to notice that its connection is gone."""


@contextmanager
def deadline(stage: str, limit_s: float) -> Iterator[None]:
    """Cuts the block off after `limit_s` seconds and raises `DeadlineExceeded(stage)`. Not for calls in flight."""
    with anyio.move_on_after(limit_s) as scope:
        yield
    if scope.cancelled_caught:
        raise DeadlineExceeded(stage, limit_s)


async def until_cut(
    connection: Connection,
    stage: str,
    limit_s: float,
    call: Callable[[], Awaitable[T]],
    *,
    cancellable: bool = True,
) -> T:
    """What `call()` returns or raises; `DeadlineExceeded(stage)` after `limit_s` seconds.

    The driver does not bear cancellation in mid-call: it waits for the server without a limit, and what comes later
    is out of step. So the call runs where no cancellation reaches it. On a deadline or a cancellation the
    connection is terminated, which makes the call raise, and that is waited for; it is of no use afterwards.
    """
    running = _Call(call)
    scope = anyio.CancelScope(shield=not cancellable, deadline=anyio.current_time() + limit_s)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(running.run)
        try:
            with scope:
                await running.ended.wait()
        finally:
            if not running.ended.is_set():
                connection.terminate()
                with anyio.move_on_after(_GIVE_UP_S, shield=True):
                    await running.ended.wait()
                running.shield.cancel()
    if scope.cancelled_caught:
        raise DeadlineExceeded(stage, limit_s)
    if running.error is not None:
        raise running.error
    return running.results[0]


class _Call(Generic[T]):
    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self.ended = anyio.Event()
        self.results: list[T] = []
        self.error: Exception | None = None
        self.shield = anyio.CancelScope(shield=True)
        self._call = call

    async def run(self) -> None:
        with self.shield:
            try:
                self.results.append(await self._call())
            except Exception as error:  # noqa: BLE001 - raised again by `until_cut`, as itself and in no group
                self.error = error
            finally:
                self.ended.set()
