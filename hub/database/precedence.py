"""Who writes first: what is announced once it is committed goes before what is only kept."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

_QUIET_S = 0.1  # in which what was committed is announced: a writer's thread beside it would slow that down
_PATIENCE_S = 0.35  # with the time readings are gathered for, they are stored within a second
_LOOK_S = 0.02


class Precedence:
    """Lets urgent writers pass. The others wait while one is at work and a moment longer, but not for long; if the
    rush lasts, they take their turns among the urgent ones until it is over. Their patience comes back as fast as
    time passes without a rush: so of a row of short ones they get half of the time.
    """

    def __init__(self) -> None:
        self._urgent = 0
        self._quiet_s = -_PATIENCE_S  # when the rush is over, on the clock of the loop
        self._patient_until_s = 0.0

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """An urgent writer waits or works while the block lasts."""
        now_s = anyio.current_time()
        if not self._urgent and now_s >= self._quiet_s:
            left_s = max(0.0, self._patient_until_s - self._quiet_s)
            self._patient_until_s = now_s + min(_PATIENCE_S, left_s + now_s - self._quiet_s)
        self._urgent += 1
        try:
            yield
        finally:
            self._urgent -= 1
            self._quiet_s = anyio.current_time() + _QUIET_S

    async def let_pass(self) -> None:
        """Return when the others may write."""
        while True:
            now_s = anyio.current_time()
            if now_s >= self._patient_until_s or not (self._urgent or now_s < self._quiet_s):
                return
            await anyio.sleep(_LOOK_S)
