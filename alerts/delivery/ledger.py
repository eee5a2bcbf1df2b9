"""What became of deliveries, on its way to SQL: gathered for a moment, kept while the database is away."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import anyio
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlmodel import Session

from alerts.model.delivery import Attempt, Delivery
from alerts.store import outbox
from alerts.store.database import Database
from alerts.store.unstorable import Refused, is_unstorable

_GATHER_S = 0.05  # marks of a burst share a transaction
_AGAIN_S = 0.5

Change = Callable[[Session], None]


class Ledger:
    """Keeps the newest mark per delivery. Bounded: beyond `most` the oldest goes, counted in `dropped`."""

    def __init__(self, database: Database, most: int = 20_000) -> None:
        self.dropped = 0
        self._database = database
        self._most = most
        self._marks: dict[str, Delivery] = {}
        self._attempts: list[Attempt] = []
        self._change: Change | None = None
        self._is_apart = False  # a row was refused for its values
        self._news = anyio.Event()
        self._writing = anyio.Lock()

    def __len__(self) -> int:
        """Deliveries whose marks are not in SQL yet."""
        return len(self._marks)

    def note(self, delivery: Delivery, attempt: Attempt | None = None) -> None:
        """Have a delivery marked as it is, and the attempt kept. One without a body keeps the body it had."""
        before = self._marks.pop(delivery.id, None)
        if before is not None and not delivery.body:
            delivery = replace(delivery, body=before.body, content_type=before.content_type)
        self._marks[delivery.id] = delivery
        if attempt is not None:
            self._attempts.append(attempt)
        self._bound()
        self._news.set()

    def then(self, change: Change) -> None:
        """Have a change made after the marks so far, in their transaction; instead of one that is not made yet."""
        self._change = change
        self._news.set()

    async def run(self) -> None:
        """Write until cancelled; nothing is taken off before it is committed."""
        while True:
            await self._news.wait()
            await anyio.sleep(_GATHER_S)
            self._news = anyio.Event()
            if not await self.flush():
                await anyio.sleep(_AGAIN_S)
                self._news.set()

    async def flush(self) -> bool:
        """Write what is waiting now; False when the database refused it."""
        async with self._writing:  # two at once would keep an attempt twice
            return await self._flush()

    async def _flush(self) -> bool:
        marks, attempts, change = list(self._marks.values()), list(self._attempts), self._change
        if not marks and not attempts and change is None:
            return True

        refused: list[Refused] = []

        def work(session: Session) -> None:
            if self._is_apart:
                refused[:] = outbox.record_those_that_can_be(session, marks, attempts)
            else:
                outbox.record(session, marks, attempts)
            if change is not None:
                change(session)

        try:
            await self._database.write(work)
        except (SQLAlchemyError, ValueError, OverflowError) as error:
            if not isinstance(error, DBAPIError) and not is_unstorable(error):
                raise
            was_apart, self._is_apart = self._is_apart, is_unstorable(error)
            return await self._flush() if self._is_apart and not was_apart else False
        self._is_apart = False
        if refused:
            await self._database.set_aside(refused)
        for mark in marks:
            if self._marks.get(mark.id) is mark:
                del self._marks[mark.id]
        for attempt in attempts:
            with suppress(ValueError):  # dropped meanwhile, the oldest first
                self._attempts.remove(attempt)
        if self._change is change:
            self._change = None
        return True

    def _bound(self) -> None:
        if len(self._marks) > self._most:
            del self._marks[next(iter(self._marks))]
            self.dropped += 1
        if len(self._attempts) > self._most:
            del self._attempts[0]
            self.dropped += 1
