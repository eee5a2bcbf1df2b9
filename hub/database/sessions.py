"""The sessions of one database: replaced when they have become useless; none writes without the lock.

- All connections are closed after an error that only a new session can repair, such as one of a server that has
  become read-only but keeps its sessions open. The next transaction connects again, and acquires the lock first.
- A session is never closed while it is the only access to a file that was deleted: `restore_file` copies from it.
"""

from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hub.database.engines import Engines
from hub.database.errors import describe_error
from hub.database.file import REPLACED, DatabaseFile
from hub.database.lock import AdvisoryLock, DatabaseInUse, DatabaseLock
from hub.database.transaction import is_session_useless, refusal, run_raw, run_transaction

T = TypeVar("T")

log = structlog.get_logger()


class Sessions:
    """All methods block: call them in a worker thread, and those that write in one thread at a time."""

    def __init__(self, engines: Engines, lock: DatabaseLock | None, file: DatabaseFile | None) -> None:
        self.engines = engines
        self.lock = lock
        self.file = file
        if isinstance(lock, AdvisoryLock):
            for engine in (engines.writer, engines.durable):
                event.listen(engine, "connect", lambda *_: lock.acquire())

    def read(self, engine: Engine, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction. Raises DBAPIError."""
        try:
            return run_transaction(engine, work)
        except DBAPIError as error:
            self._reset_if_useless(error)
            raise

    def write(self, work: Callable[[Session], T], *, durable: bool) -> T:
        """Run `work` and commit. Raises DBAPIError, also when the lock or the file is lost."""
        if self.file is not None and self.file.failure is not None:
            raise refusal(self.file.failure)
        try:
            if self.lock is not None and not self.lock.is_held:
                self.lock.acquire()
            return run_transaction(self.engines.durable if durable else self.engines.writer, work)
        except DatabaseInUse as error:
            raise refusal("another hub is using the database; stop one of them") from error
        except DBAPIError as error:
            self._reset_if_useless(error)
            raise

    def switch_file(self, prepare: Callable[[Session], object]) -> str | None:
        """Use the file that has replaced the former one; returns why that is not possible, or None.

        `prepare` brings its tables up to date. Raises DatabaseInUse when another hub uses that file.
        """
        assert self.file is not None
        self.file.rename_old_log()
        self._dispose()
        if self.lock is not None:
            self.lock.release()
            self.lock.acquire()
        self.file.make_private()
        try:
            run_transaction(self.engines.durable, prepare)
        except DBAPIError as error:
            return f"{REPLACED}: {describe_error(error)}"
        self.file.remember()
        log.warning("the database file was replaced; the hub uses the new one", file=str(self.file.path))
        return None

    def restore_file(self) -> None:
        """Copy a database whose file was deleted back to its path, from a connection that is still open."""
        assert self.file is not None
        for engine in (self.engines.durable, self.engines.writer):
            try:
                run_raw(engine, self.file.rescue)
            except (OSError, DBAPIError) as error:  # no connection, disk full or no folder: the next check retries
                log.debug("the lost database file cannot be copied back", reason=str(error))
            else:
                log.warning("the deleted database file was restored from memory", file=str(self.file.path))
                return

    def close_idle(self) -> None:
        """Close SQLite's idle read-only connections. Raises DBAPIError.

        Each keeps pages, statements and references to its last 200 cursors: a few bytes in many blocks of memory,
        none of which returns to the system meanwhile.
        """
        if self.file is None or not self.file.is_in_place or self.file.is_log_lost:
            return  # only the open sessions can still read the deleted file
        with self.engines.writer.connect():  # SQLite removes its log with the last connection, so keep one
            self.engines.queries.dispose()
            self.engines.readers.dispose()

    def close(self) -> None:
        """Close every connection and release the lock."""
        self._dispose()
        if self.lock is not None:
            self.lock.release()

    def _reset_if_useless(self, error: DBAPIError) -> None:
        if self.file is not None and not self.file.is_in_place:
            return  # only the open sessions can still read the deleted file
        if is_session_useless(error):
            self._dispose()
            if self.lock is not None:
                self.lock.reset()

    def _dispose(self) -> None:
        for engine in self.engines:
            if engine is not None:
                engine.dispose()
        if self.file is not None:
            self.file.forget_log()
