"""Batches by a few workers: each that fails is tried once more, then reported; a run that only fails gives up."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import anyio

from hub.oracle.admission import LaneBusy
from hub.oracle.connection import OracleError

T = TypeVar("T")

_AGAIN_S = 0.5
_GIVE_UP_AFTER = 6
"""Batches in a row that failed twice, after which the rest is not tried: the next ones would fail as well."""


@dataclass(frozen=True, slots=True)
class Patience:
    """What to do when the lane is busy: a person is told at once, a job waits up to `busy_s` and tries again."""

    busy_s: float = 0.0

    @property
    def tells(self) -> bool:
        """True when `LaneBusy` goes to the caller."""
        return self.busy_s <= 0


async def run_batches(
    batches: Sequence[T],
    workers: int,
    attempt: Callable[[T], Awaitable[None]],
    on_done: Callable[[T, str | None], None],
    patience: Patience,
) -> None:
    """`attempt` each; `on_done(batch, code)` is told, with the error's code when it failed twice.

    Raises `LaneBusy` where the patience says so, and what else an attempt raises, as itself and in no group; what
    runs then is cut.
    """
    run = _Run(list(reversed(batches)), attempt, on_done, patience)
    try:
        async with anyio.create_task_group() as run.tasks:
            for _ in range(min(workers, len(batches))):
                run.tasks.start_soon(run.work)
    finally:
        run.left.clear()  # a cancelled task keeps its frames until a full collection of garbage
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
        patience: Patience,
    ) -> None:
        self.tasks = anyio.create_task_group()
        self.error: Exception | None = None
        self.left = left
        self._attempt = attempt
        self._on_done = on_done
        self._patience = patience
        self._failed_in_a_row = 0

    async def work(self) -> None:
        while self.left:
            batch = self.left.pop()
            code = "GAVE-UP"
            if self._failed_in_a_row < _GIVE_UP_AFTER:
                code = await self._twice(batch)
                self._failed_in_a_row = self._failed_in_a_row + 1 if code else 0
            self._on_done(batch, code or None)

    async def _twice(self, batch: T) -> str:
        """The code of the second failure, or nothing."""
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
            if self._patience.tells:
                self._end(busy)
            return _Failure(busy.code, min(busy.retry_after_s, self._patience.busy_s))
        except OracleError as error:
            return _Failure(error.code, _AGAIN_S)
        except Exception as error:  # noqa: BLE001 - `run_batches` raises it again
            self._end(error)
            return _Failure("ENDED", 0.0)
        return None

    def _end(self, error: Exception) -> None:
        self.error = self.error or error
        self.tasks.cancel_scope.cancel()
