"""Checkpoints of SQLite's write-ahead log: they keep it short, and report a foreign reader that makes it grow."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, NoReturn, Protocol

import anyio
from sqlalchemy.exc import DBAPIError

from hub.database.errors import describe_error
from hub.database.outcomes import Outcomes

_EVERY_S = 5.0
_LONG_PAGES = 10_000
_PINNED_PAGES = 50_000
"""About 100 MB: five times what the log grows to when checkpoints can empty it."""

PINNED = "another process keeps a read of the database open, so its log cannot be emptied: end that process"


class LogState(NamedTuple):
    """Pages in the log, how many of them are copied into the file, and the bytes of a page."""

    pages: int
    moved: int
    page_size: int


class RawRunner(Protocol):
    """Runs a function of the driver's connection in a worker thread; when `exclusive`, no writer runs meanwhile."""

    def __call__(self, work: Callable[[Any], LogState], *, exclusive: bool) -> Awaitable[LogState]: ...


class Checkpoints:
    """Keeps the log short without delaying the writers.

    Two checkpoints run beside the writers: one copies what is committed, the next what was committed meanwhile.
    Only the last one, which has little left to copy, excludes the writers; then SQLite starts the log from its
    beginning.
    """

    def __init__(self, run_raw: RawRunner, outcomes: Outcomes) -> None:
        self.log_bytes = 0
        self._run_raw = run_raw
        self._outcomes = outcomes

    async def run(self) -> NoReturn:
        """Run a checkpoint every 5 s until cancelled."""
        while True:
            await anyio.sleep(_EVERY_S)
            await self.checkpoint()

    async def checkpoint(self) -> None:
        """Copy what can be copied, and record whether the log can be kept short."""
        try:
            last = await self._run_raw(passive_checkpoint, exclusive=False)
            if last.pages > _LONG_PAGES:
                for exclusive in (False, False, True):
                    last = await self._run_raw(passive_checkpoint, exclusive=exclusive)
        except DBAPIError as error:
            self._outcomes.failed("log", "checkpoint", describe_error(error))
            return
        self.log_bytes = last.pages * last.page_size
        if is_pinned(last):
            self._outcomes.failed("log", "checkpoint", PINNED)
        else:
            self._outcomes.worked("log", "checkpoint")


def is_pinned(last: LogState) -> bool:
    """Whether the log is long and cannot be emptied, even by a checkpoint that excludes the writers."""
    return last.pages > _PINNED_PAGES and last.moved < last.pages


def passive_checkpoint(connection: Any) -> LogState:
    """Copy what can be copied without waiting for a reader or a writer."""
    _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    page_size = connection.execute("PRAGMA page_size").fetchone()[0]
    return LogState(pages, moved, page_size)
