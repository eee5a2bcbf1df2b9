"""Runs batches with a few workers: retries a failed one once, then reports it, and stops a run that only fails."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import anyio

from hub.oracle.admission import LaneBusy
from hub.oracle.connection import OracleError

T = TypeVar("T")

_RETRY_S = 0.5
_ABORT_AFTER = 6
"""After so many batches in a row that failed twice, the rest is not tried: they would fail as well."""


@dataclass(frozen=True, slots=True)
class BusyPolicy:
    """What to do when the lane is busy: raise at once, for a person; or wait up to `wait_s` seconds, for a job."""

    wait_s: float = 0.0

    @property
    def raises_at_once(self) -> bool:
        """True when `LaneBusy` is raised to the caller."""
        return self.wait_s <= 0


async def run_batches(
    batches: Sequence[T],
    workers: int,
    attempt: Callable[[T], Awaitable[None]],
    on_done: Callable[[T, str | None], None],
    policy: BusyPolicy,
) -> None:
    """Call `attempt` for each batch, and `on_done(batch, code)` at its end, with the code when it failed twice.

    Raises `LaneBusy` if the policy says so, and any other error of an attempt, outside of a group; the attempts
    that run meanwhile are cancelled.
    """
    run = _Run(list(reversed(batches)), attempt, on_done, policy)
    try:
        async with anyio.create_task_group() as run.tasks:
            for _ in range(min(workers, len(batches))):
                run.tasks.start_soon(run.work)
    finally:
        run.left.clear()  # a cancelled task keeps its frames until a full garbage collection
    if run.error is not None:
        raise run.error


class _Failure(NamedTuple):
    code: str
    pause_s: float


class _Run(Generic[T]):
    def __init__(
        self,
        left: list[T],
        attempt: Callable[[T], Awaitable[None]],
        on_done: Callable[[T, str | None], None],
        policy: BusyPolicy,
    ) -> None:
        self.tasks = anyio.create_task_group()
        self.error: Exception | None = None
        self.left = left
        self._attempt = attempt
        self._on_done = on_done
        self._policy = policy
        self._failed_in_a_row = 0

    async def work(self) -> None:
        while self.left:
            batch = self.left.pop()
            code = "GAVE-UP"
            if self._failed_in_a_row < _ABORT_AFTER:
                code = await self._twice(batch)
                self._failed_in_a_row = self._failed_in_a_row + 1 if code else 0
            self._on_done(batch, code or None)

    async def _twice(self, batch: T) -> str:
        """The code of the second failure; empty after a success."""
        first = await self._once(batch)
        if first is None:
            return ""
        await anyio.sleep(first.pause_s)
        second = await self._once(batch)
        return second.code if second else ""

    async def _once(self, batch: T) -> "_Failure | None":
        try:
            await self._attempt(batch)
        except LaneBusy as busy:
            if self._policy.raises_at_once:
                self._end(busy)
            return _Failure(busy.code, min(busy.retry_after_s, self._policy.wait_s))
        except OracleError as error:
            return _Failure(error.code, _RETRY_S)
        except Exception as error:  # noqa: BLE001 - `run_batches` raises it again
            self._end(error)
            return _Failure("ENDED", 0.0)
        return None

    def _end(self, error: Exception) -> None:
        self.error = self.error or error
        self.tasks.cancel_scope.cancel()
