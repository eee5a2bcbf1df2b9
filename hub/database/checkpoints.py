"""SQLite's log: moved into the file beside the writers, and watched, because a foreign reader can make it grow."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, NoReturn, Protocol

import anyio
from sqlalchemy.exc import DBAPIError

from hub.database.errors import describe_trouble
from hub.database.outcomes import Outcomes

_EVERY_S = 5.0
_LONG_PAGES = 10_000
_PINNED_PAGES = 50_000
"""About 100 MB: five times what the log grows to when it can be moved."""

PINNED = "another process keeps a read of the database open, so its log cannot be emptied: end that process"


class Moved(NamedTuple):
    """Pages in the log, and those of them that are in the file as well."""

    pages: int
    moved: int
    page_size: int


class RawRunner(Protocol):
    """Runs a function of the driver's connection in a worker thread, `alone` with the writers held."""

    def __call__(self, work: Callable[[Any], Moved], *, alone: bool) -> Awaitable[Moved]: ...


class Checkpoints:
    """Keeps the log short without holding up the writers.

    What was committed is moved into the file beside them, and what came meanwhile, until little is left; only that
    is moved with the writers held, which lets the log begin anew.
    """

    def __init__(self, run_raw: RawRunner, outcomes: Outcomes) -> None:
        self.log_bytes = 0
        self._run_raw = run_raw
        self._outcomes = outcomes

    async def run(self) -> NoReturn:
        """Works until cancelled."""
        while True:
            await anyio.sleep(_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Moves what can be moved, and notes whether the log can be kept short."""
        try:
            last = await self._run_raw(move, alone=False)
            if last.pages > _LONG_PAGES:
                for alone in (False, False, True):
                    last = await self._run_raw(move, alone=alone)
        except DBAPIError as error:
            self._outcomes.failed("log", "checkpoint", describe_trouble(error))
            return
        self.log_bytes = last.pages * last.page_size
        if is_pinned(last):
            self._outcomes.failed("log", "checkpoint", PINNED)
        else:
            self._outcomes.worked("log", "checkpoint")


def is_pinned(last: Moved) -> bool:
    """Whether the log is long, and cannot be moved, though everything was tried."""
    return last.pages > _PINNED_PAGES and last.moved < last.pages


def move(connection: Any) -> Moved:
    """Moves what can be moved without waiting for anybody."""
    _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    page_size = connection.execute("PRAGMA page_size").fetchone()[0]
    return Moved(pages, moved, page_size)
