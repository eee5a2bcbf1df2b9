"""The database as one part of the hub sees it: what fails there is noted, so that no caller can keep it quiet."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from alerts.store.database import Database, Write
from alerts.store.unstorable import Refused, is_unstorable
from hub.database.errors import describe_trouble
from hub.database.outcomes import Outcomes

T = TypeVar("T")


class Purpose:
    """Passes everything on to `database`, and notes for `promise` how reads and writes end.

    A row that no database would take is the caller's affair and says nothing about the database.
    """

    def __init__(self, database: Database, outcomes: Outcomes, promise: str) -> None:
        self._database = database
        self._outcomes = outcomes
        self._promise = promise

    async def read(self, work: Callable[[Session], T]) -> T:
        """As the database does it."""
        with self._noted("read"):
            return await self._database.read(work)

    async def write(self, work: Callable[[Session], T], *, durable: bool = False) -> T:
        """As the database does it."""
        with self._noted("write"):
            return await self._database.write(work, durable=durable)

    async def write_in_turn(self, take: Callable[[], Write | None]) -> None:
        """As the database does it."""
        with self._noted("write"):
            await self._database.write_in_turn(take)

    async def set_aside(self, refused: Sequence[Refused]) -> None:
        """As the database does it."""
        await self._database.set_aside(refused)

    @contextmanager
    def _noted(self, source: str) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if not is_unstorable(error):
                self._outcomes.failed(self._promise, source, describe_trouble(error))
            raise
        self._outcomes.worked(self._promise, source)
