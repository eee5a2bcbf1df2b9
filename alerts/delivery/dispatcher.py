"""Sends what is due to one receiver: does what its window says, eight POSTs at once, in no other receiver's way."""

import random
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Protocol

import anyio
from anyio.abc import TaskGroup
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from alerts.config.fingerprint import fingerprint
from alerts.config.rule import Receiver
from alerts.delivery.answers import Delivered, Gone, Outcome, Refused, Retry, Wait
from alerts.delivery.backlog import Turn
from alerts.delivery.health import Trouble
from alerts.delivery.ledger import Ledger
from alerts.delivery.webhook import Post
from alerts.delivery.window import Fate, Load, State, Window
from alerts.model.clock import Clock
from alerts.model.delivery import Delivery, DeliveryState
from alerts.store import outbox
from alerts.store.database import Database
from alerts.store.pending import Page, read_members, read_pending

_IN_FLIGHT = 8


class OnTrouble(Protocol):
    """Told when a receiver has failed for 10 min or is gone, and when it takes messages again."""

    def __call__(self, receiver: str, failing: bool, reason: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that is worth a line in the log: the first that failed since a success, or ever."""

    receiver: str
    outcome: Retry | Refused | Wait | Gone
    has_worked: bool  # since the dispatcher was made


@dataclass(slots=True)
class Counts:
    """What a dispatcher has done since it was made."""

    attempts: int = 0
    delivered: int = 0
    failed: int = 0  # attempts
    dead: int = 0
    digests: int = 0
    dropped: int = 0  # announced unstored, and no room in memory or out of turn: sent once stored


class Dispatcher:
    """Drives the window of one receiver: posts, loads, writes and waits as it says."""

    def __init__(
        self,
        receiver: Receiver,
        open_post: Callable[[], AbstractAsyncContextManager[Post]],
        database: Database,
        clock: Clock,
        hub: str,
        on_trouble: OnTrouble,
        on_failure: Callable[[Failure], None] = lambda failure: None,
        on_dead: Callable[[Delivery, str], None] = lambda delivery, error: None,
        chance: Callable[[], float] = random.random,
        room: int = 10_000,
    ) -> None:
        """`hub` is the name in digests; `on_dead` is called with every message given up, and its last error.

        `room` bounds the messages in memory. Raises ValueError for a rate that cannot be read."""
        self.receiver = receiver
        self.counts = Counts()
        self._open_post = open_post
        self._database = database
        self._clock = clock
        self._on_trouble = on_trouble
        self._on_failure = on_failure
        self._on_dead = on_dead
        self._chance = chance
        self._fingerprint = fingerprint(receiver)
        self._window = Window(receiver, hub, room)
        self._ledger = Ledger(database)
        self._trouble = Trouble()
        self._is_stopping = False
        self._tasks: TaskGroup | None = None  # while it runs
        self._post: Post = _post_nothing
        self._free = _IN_FLIGHT
        self._wake = anyio.Event()
        self._wakes_at_s = -inf

    def __len__(self) -> int:
        return len(self._window)

    @property
    def is_held(self) -> bool:
        """The receiver has said 410, and nothing is sent to it."""
        return self._window.state is State.HELD

    @property
    def is_failing(self) -> bool:
        """True since the last attempt that failed, until one gets through."""
        return self._trouble.is_failing

    def offer(self, deliveries: Iterable[Delivery], persisted: bool = True) -> None:
        """Take new deliveries of this receiver; `persisted` says that SQL has them."""
        self._write(self._window.offered(deliveries, persisted, *self._now()))
        self.counts.dropped = self._window.dropped
        self._go_on()

    def reload(self) -> None:
        """Look into SQL again, after a replay; a held receiver is released by it."""
        self._ledger.then(lambda session: outbox.release(session, self.receiver.name))
        self._window.resumed()
        self._wake.set()

    def look_again(self) -> None:
        """SQL may have deliveries that memory has not."""
        self._window.look_again()
        if self.is_held:
            self._hold()
        self._wake.set()

    def stop(self) -> None:
        """Ask `run` to return once what is due now has been tried; the rest stays pending in SQL."""
        self._is_stopping = True
        self._wake.set()

    def close(self) -> None:
        """Let go of all it holds; it is not run again.

        A task that was cancelled lives on, in a cycle of its exception and its frames, until the collector comes,
        which may be days. Neither the deliveries nor the connections of the receiver may hang on it.
        """
        self._window.clear()
        self._open_post = _closed

    async def run(self) -> None:
        """Dispatch until stopped or cancelled. May be run again after a crash."""
        self._window.restarted(self._clock.time())
        self._free = _IN_FLIGHT
        try:
            async with self._open_post() as self._post, anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._ledger.run)
                try:
                    await self._drive(tasks)
                finally:
                    self._tasks = None
                tasks.cancel_scope.cancel()
        finally:
            self._post = _post_nothing
            with anyio.move_on_after(1, shield=True):
                await self._ledger.flush()

    async def _drive(self, tasks: TaskGroup) -> None:
        while not (self._is_stopping and self._window.is_idle(self._clock.time())):
            self._wake = anyio.Event()
            now_s = self._clock.time()
            if (load := self._window.load(now_s)) is not None:
                tasks.start_soon(self._read, load)
            self._start_posting()
            if self._trouble.is_news(now_s):
                self._on_trouble(self.receiver.name, True, self._trouble.reason)
            self._wakes_at_s = self._due_s()
            with anyio.move_on_after(max(0.0, self._wakes_at_s - now_s)):
                await self._wake.wait()

    def _go_on(self) -> None:
        """Post what is due now, and see to it that `_drive` wakes for what is due next."""
        self._start_posting()
        if self._due_s() < self._wakes_at_s or self._is_stopping:
            self._wake.set()

    def _due_s(self) -> float:
        moments = self._window.wakes_at_s(self._clock.time(), self._free > 0), self._trouble.report_at_s
        return min((moment for moment in moments if moment is not None), default=inf)

    def _start_posting(self) -> None:
        while self._tasks is not None and self._free and (turn := self._window.next(*self._now())) is not None:
            self._free -= 1
            self._tasks.start_soon(self._post_due, turn)

    async def _post_due(self, turn: Turn | None) -> None:
        """Post one delivery and then, in the same task, whatever is due by then."""
        while turn is not None:
            await self._post_one(turn)
            turn = self._window.next(*self._now())
            self._go_on()
        self._free += 1
        self._go_on()

    async def _post_one(self, turn: Turn) -> None:
        delivery = turn.delivery
        self._write(turn.writes)
        if turn.is_new_digest:
            self.counts.digests += 1
            await self._ledger.flush()  # with no database it is sent all the same
            if self.is_held:
                self._window.untried(delivery, self._clock.time())
                return
        started_s, at = self._now()
        outcome = await self._post(delivery, at)
        fate = self._answered(delivery, outcome, at, self._clock.time() - started_s)
        if fate.is_to_split:
            members = await self._members_of(delivery)
            self._write(self._window.split(fate.delivery, members, *self._now()))

    def _answered(self, delivery: Delivery, outcome: Outcome, at: datetime, duration_s: float) -> Fate:
        now_s, now = self._now()
        fate = self._window.answered(delivery, outcome, at, duration_s, now_s, now, self._chance())
        self._ledger.note(fate.delivery, fate.attempt)
        self.counts.attempts += 1
        if isinstance(outcome, Delivered):
            self.counts.delivered += 1
            if not self.is_held and self._trouble.worked():
                self._on_trouble(self.receiver.name, False, None)
            return fate
        self.counts.failed += 1
        if self._trouble.failed(outcome.error, now_s, is_final=isinstance(outcome, Gone)):
            self._on_failure(Failure(self.receiver.name, outcome, self._trouble.has_worked))
        if isinstance(outcome, Gone):
            self._hold()
        if fate.delivery.state is DeliveryState.DEAD:
            self.counts.dead += 1
            self._on_dead(delivery, outcome.error)
        return fate

    async def _read(self, load: Load) -> None:
        def work(session: Session) -> Page | None:
            if outbox.is_held(session, self.receiver.name, self._fingerprint):
                return None
            return read_pending(session, self.receiver.name, load.after, load.limit)

        try:
            is_read = await self._ledger.flush()  # before that SQL would give what has been sent
            page = await self._database.write(work) if is_read else None
        except DBAPIError:
            is_read = False
        if not is_read:
            self._window.load_failed(load, self._clock.time())
        elif page is None:
            self._window.found_held(load)
        else:
            self._window.loaded(load, page.deliveries, page.reached, *self._now())
        self._wake.set()

    async def _members_of(self, digest: Delivery) -> list[Delivery]:
        """Empty when the database cannot say."""
        try:
            if not await self._ledger.flush():
                return []
            return await self._database.read(lambda session: read_members(session, digest.id))
        except DBAPIError:
            return []

    def _hold(self) -> None:
        name, mark, at = self.receiver.name, self._fingerprint, self._clock.now()
        self._ledger.then(lambda session: outbox.hold(session, name, mark, at))

    def _write(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._ledger.note(delivery)

    def _now(self) -> tuple[float, datetime]:
        return self._clock.time(), self._clock.now()


def _closed() -> AbstractAsyncContextManager[Post]:
    raise RuntimeError("this dispatcher is closed")


async def _post_nothing(delivery: Delivery, at: datetime) -> Outcome:
    raise RuntimeError("this dispatcher does not run")
