"""The database for one part of the storage: it records every failure, so that no caller can hide one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from alerts.store.database import Database, Write
from alerts.store.unstorable import Refused, is_unstorable
from hub.database.errors import describe_error
from hub.database.outcomes import Outcomes

T = TypeVar("T")


class PartDatabase:
    """Calls `database`, and records for `part` whether reads and writes succeed.

    A row that no database would accept is an error of the caller, and is not recorded.
    """

    def __init__(self, database: Database, outcomes: Outcomes, part: str) -> None:
        self._database = database
        self._outcomes = outcomes
        self._part = part

    async def read(self, work: Callable[[Session], T]) -> T:
        """See `Database`."""
        with self._recorded("read"):
            return await self._database.read(work)

    async def write(self, work: Callable[[Session], T], *, durable: bool = False) -> T:
        """See `Database`."""
        with self._recorded("write"):
            return await self._database.write(work, durable=durable)

    async def write_in_turn(self, take: Callable[[], Write | None]) -> None:
        """See `Database`."""
        with self._recorded("write"):
            await self._database.write_in_turn(take)

    async def set_aside(self, refused: Sequence[Refused]) -> None:
        """See `Database`."""
        await self._database.set_aside(refused)

    @contextmanager
    def _recorded(self, source: str) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if not is_unstorable(error):
                self._outcomes.failed(self._part, source, describe_error(error))
            raise
        self._outcomes.worked(self._part, source)
