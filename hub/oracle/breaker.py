"""A circuit breaker: after several lost connections in a row no caller connects for a while, then one tries.

CLOSED ──`failures` lost in a row──> OPEN ──`open_s` seconds──> HALF_OPEN
HALF_OPEN ──one caller succeeds──> CLOSED        HALF_OPEN ──it loses the connection too──> OPEN
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

import anyio

from hub.oracle.admission import LaneBusy
from hub.oracle.connection import DeadlineExceeded, OracleError, OracleUnavailable


class BreakerState(IntEnum):
    """The state; the numbers are the values of the metric."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


def is_lost(error: OracleError) -> bool:
    """True when the database could not be reached, or the connection was lost; a slow statement does not count."""
    if isinstance(error, DeadlineExceeded):
        return error.stage == "connect"
    return isinstance(error, OracleUnavailable)


class Breaker:
    """Opens for `open_s` seconds after `failures` lost connections in a row; then one caller at a time tries."""

    def __init__(
        self, lane: str, failures: int = 5, open_s: float = 30.0, now: Callable[[], float] = anyio.current_time
    ) -> None:
        self.opened = 0  # times
        self._lane = lane
        self._failures = failures
        self._open_s = open_s
        self._now = now
        self._in_a_row = 0
        self._until: float | None = None
        self._is_probing = False
        self._last = ""

    @property
    def state(self) -> BreakerState:
        """The state now."""
        if self._until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._now() < self._until else BreakerState.HALF_OPEN

    def check(self) -> None:
        """Raise `LaneBusy` while the breaker is open, or another caller tries."""
        if self._until is None:
            return
        left_s = self._until - self._now()
        if left_s > 0 or self._is_probing:
            text = f"the database was lost {self._in_a_row} times in a row, last by {self._last}"
            raise LaneBusy(self._lane, "BREAKER", text, max(1.0, left_s))

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Run a block that uses the database, and count how it ends. Raises `LaneBusy`, see `check`."""
        self.check()
        is_probe = self._until is not None
        if is_probe:
            self._is_probing = True
        try:
            yield
        except OracleError as error:
            if isinstance(error, LaneBusy):
                raise
            if is_lost(error):
                self._failed(error.code)
            else:
                self._succeeded()
            raise
        else:
            self._succeeded()
        finally:
            if is_probe:
                self._is_probing = False

    def _succeeded(self) -> None:
        self._in_a_row = 0
        self._until = None

    def _failed(self, code: str) -> None:
        self._in_a_row += 1
        self._last = code
        if self._in_a_row >= self._failures:
            self.opened += self._until is None
            self._until = self._now() + self._open_s
