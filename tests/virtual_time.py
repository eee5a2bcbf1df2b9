"""Runs a test in virtual time: sleeping takes none, and the clock says what it would be."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import wraps
from typing import ParamSpec

import anyio
from trio.testing import MockClock

from hub.runtime.clock import Clock

P = ParamSpec("P")

START_S = 1_000_000.0


class VirtualClock(Clock):
    """The hub's clock in virtual time, which begins at `START_S`."""

    def steady(self) -> float:
        return START_S + anyio.current_time()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.steady(), UTC)


def virtual(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Decorates an async test; its sleeps are skipped as soon as nothing else can run."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def call() -> None:
            await test(*args, **kwargs)

        anyio.run(call, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})

    return run
