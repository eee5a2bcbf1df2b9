"""How many trace requests are answered at once: each holds ids and rows of a database in memory."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hub.web.http.problems import busy

_RETRY_S = 2.0


class TracePlaces:
    """So many requests in all, and so many of one caller; who finds no place is asked to come back."""

    def __init__(self, together: int = 8, of_one: int = 4) -> None:
        self.refused = 0
        self._together = together
        self._of_one = of_one
        self._of: Counter[str] = Counter()

    @contextmanager
    def place(self, who: str) -> Iterator[None]:
        """A place while the block lasts. Raises Problem 503 with Retry-After."""
        if self._of.total() >= self._together or self._of[who] >= self._of_one:
            self.refused += 1
            raise busy("too many traces are asked for at once; ask again in a moment", _RETRY_S)
        self._of[who] += 1
        try:
            yield
        finally:
            self._of[who] -= 1
            if not self._of[who]:
                del self._of[who]
