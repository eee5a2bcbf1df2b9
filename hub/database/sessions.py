"""The sessions of one database: renewed when they have become useless, and none writes without the claim."""

from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hub.database.claim import Claim, DatabaseTaken, ServerClaim
from hub.database.engines import Engines
from hub.database.errors import describe_trouble
from hub.database.file import REPLACED, DatabaseFile
from hub.database.transaction import is_session_useless, refusal, run_raw, run_transaction

T = TypeVar("T")

log = structlog.get_logger()


class Sessions:
    """Everything here blocks: call it in a worker thread. What writes is called by one thread at a time.

    After an error that only a new session can mend, such as one of a server that has stepped down and left its
    sessions open for reading, all are closed. The next transaction opens one, and makes sure of the claim first.
    """

    def __init__(self, engines: Engines, claim: Claim | None, file: DatabaseFile | None) -> None:
        self.engines = engines
        self.claim = claim
        self.file = file
        if isinstance(claim, ServerClaim):
            for engine in (engines.writer, engines.durable):
                event.listen(engine, "connect", lambda *_: claim.take())

    def read(self, engine: Engine, work: Callable[[Session], T]) -> T:
        """Runs `work` in a transaction. Raises DBAPIError."""
        try:
            return run_transaction(engine, work)
        except DBAPIError as error:
            self._renew_if_useless(error)
            raise

    def write(self, work: Callable[[Session], T], *, durable: bool) -> T:
        """Runs `work` and commits. Raises DBAPIError, also where the claim or the file is lost."""
        if self.file is not None and self.file.trouble is not None:
            raise refusal(self.file.trouble)
        try:
            if self.claim is not None and not self.claim.is_held:
                self.claim.take()
            return run_transaction(self.engines.durable if durable else self.engines.writer, work)
        except DatabaseTaken as error:
            raise refusal("another hub has taken the database") from error
        except DBAPIError as error:
            self._renew_if_useless(error)
            raise

    def take_up_file(self, prepare: Callable[[Session], object]) -> str | None:
        """Goes on with the file that is in place of the former one; returns what keeps it from that.

        Raises DatabaseTaken.
        """
        assert self.file is not None
        self.file.set_old_log_aside()
        self._dispose()
        if self.claim is not None:
            self.claim.release()
            self.claim.take()
        self.file.make_private()
        try:
            run_transaction(self.engines.durable, prepare)
        except DBAPIError as error:
            return f"{REPLACED}: {describe_trouble(error)}"
        self.file.remember()
        log.warning("the hub goes on with another database file", file=str(self.file.path))
        return None

    def rescue_file(self) -> None:
        """Gives the database a name again, by a copy of what is still open."""
        assert self.file is not None
        for engine in (self.engines.durable, self.engines.writer):
            try:
                run_raw(engine, self.file.rescue)
            except (OSError, DBAPIError) as error:  # not open, no room, or no folder: it is tried again
                log.debug("the lost database file cannot be copied back", reason=str(error))
            else:
                log.warning("the lost database file was copied back from what was open", file=str(self.file.path))
                return

    def close_idle(self) -> None:
        """Closes the connections of SQLite that only read, and that nobody uses now. Raises DBAPIError.

        Each keeps pages, statements, and references to its last 200 cursors: a few bytes in many blocks of memory,
        none of which is given back meanwhile.
        """
        if self.file is None or not self.file.is_in_place or self.file.is_log_lost:
            return  # what has lost its name only the open sessions still have
        with self.engines.writer.connect():  # so none of them is the last one, at whose end SQLite removes its log
            self.engines.queries.dispose()
            self.engines.readers.dispose()

    def close(self) -> None:
        """Closes every connection and gives the claim up."""
        self._dispose()
        if self.claim is not None:
            self.claim.release()

    def _renew_if_useless(self, error: DBAPIError) -> None:
        if self.file is not None and not self.file.is_in_place:
            return  # only the open sessions still have it
        if is_session_useless(error):
            self._dispose()
            if self.claim is not None:
                self.claim.renew()

    def _dispose(self) -> None:
        for engine in self.engines:
            if engine is not None:
                engine.dispose()
        if self.file is not None:
            self.file.forget_log()
