"""Deadlines for calls of the driver, which must never be cancelled: their connection is terminated instead."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import anyio

from hub.oracle.connection import Connection, DeadlineExceeded

T = TypeVar("T")

_CLOSE_GRACE_S = 1.0
"""Seconds within which a call must end after its connection was terminated."""


@contextmanager
def deadline(stage: str, limit_s: float) -> Iterator[None]:
    """Cancel the block after `limit_s` seconds and raise `DeadlineExceeded(stage)`; not for calls of the driver."""
    with anyio.move_on_after(limit_s) as scope:
        yield
    if scope.cancelled_caught:
        raise DeadlineExceeded(stage, limit_s)


async def call_with_deadline(
    connection: Connection,
    stage: str,
    limit_s: float,
    call: Callable[[], Awaitable[T]],
    *,
    cancellable: bool = True,
) -> T:
    """What `call()` returns or raises. Raises `DeadlineExceeded(stage)` after `limit_s` seconds.

    The driver does not support cancellation during a call: it would wait for the server without a limit, and later
    replies would be out of step. So the call runs shielded from cancellation. On a deadline or a cancellation the
    connection is terminated, which makes the call raise; this function waits for that. The connection cannot be
    used afterwards.
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
                with anyio.move_on_after(_CLOSE_GRACE_S, shield=True):
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
            except Exception as error:  # noqa: BLE001 - `call_with_deadline` raises it again, outside of any group
                self.error = error
            finally:
                self.ended.set()
