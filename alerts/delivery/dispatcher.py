"""Sends what is due to one receiver: at least once, each alert in order, and never in another receiver's way."""

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import anyio
from anyio.abc import TaskGroup
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from alerts.config.fingerprint import fingerprint
from alerts.config.rule import Receiver
from alerts.delivery.answers import Delivered, Gone, Outcome, Refused, Retry, Wait, splits_digest
from alerts.delivery.attempted import attempt_of, finished, held, put_off
from alerts.delivery.backlog import Backlog, Turn
from alerts.delivery.digest import digest_of, digest_room, digested, split
from alerts.delivery.formats import FORMATS
from alerts.delivery.formats.rendering import rendered
from alerts.delivery.health import Trouble
from alerts.delivery.ledger import Ledger
from alerts.delivery.posting import Enqueue, OnSent, OpenPosting, Sent
from alerts.delivery.retries import refused_delay_s, retry_delay_s
from alerts.model.clock import Clock
from alerts.model.delivery import Attempt, Delivery, DeliveryState
from alerts.store import outbox
from alerts.store.database import Database

_AHEAD = 64  # enqueued at most, waiting or under way
_RELOAD_S = 1.0


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
    """One receiver's deliveries: the newest in memory, the truth in SQL.

    Holds up to `room` deliveries in memory. What is offered beyond that is read from SQL once there is room. What
    is not stored yet either is dropped from memory, newest first, and counted; it is sent once it is stored.
    """

    def __init__(
        self,
        receiver: Receiver,
        open_posting: OpenPosting,
        database: Database,
        clock: Clock,
        hub: str,
        on_trouble: OnTrouble,
        on_failure: Callable[[Failure], None] = lambda failure: None,
        on_dead: Callable[[Delivery, str], None] = lambda delivery, error: None,
        chance: Callable[[], float] = random.random,
        room: int = 10_000,
    ) -> None:
        """`hub` is the name in digests; `on_dead` is told of every message that is given up, and its last error.

        Raises ValueError for a rate that cannot be read."""
        self.receiver = receiver
        self.counts = Counts()
        self.is_held = False
        self._open_posting = open_posting
        self._database = database
        self._clock = clock
        self._hub = hub
        self._on_trouble = on_trouble
        self._on_failure = on_failure
        self._on_dead = on_dead
        self._chance = chance
        self._room = room
        self._format = FORMATS[receiver.format]
        self._backlog = Backlog(receiver, digest_room(self._format, hub))
        self._ledger = Ledger(database)
        self._out: set[str] = set()  # enqueued, or a digest that is being made or split
        self._forgotten: set[str] = set()  # of these, what was out when a 410 emptied the backlog
        self._to_split: list[Delivery] = []
        self._is_behind = True  # SQL has deliveries that are not in memory
        self._has_missed = False  # one came while SQL was being read
        # Alerts with deliveries that only SQL has or will have, and the newest's sequence.
        self._left: dict[str, int] = {}
        self._is_loading = False
        self._load_at_s = 0.0
        self._trouble = Trouble()
        self._is_stopping = False
        self._wake = anyio.Event()

    def __len__(self) -> int:
        return len(self._backlog)

    @property
    def is_failing(self) -> bool:
        """True since the last attempt that failed, until one gets through."""
        return self._trouble.is_failing

    def offer(self, deliveries: Iterable[Delivery], persisted: bool = True) -> None:
        """Take new deliveries of this receiver; `persisted` says that SQL has them."""
        for delivery in deliveries:
            # the document of what is not persisted may never be stored; its body is
            stored = delivery if persisted else self._ready(delivery)
            if self.is_held:
                self._ledger.note(replace(stored, state=DeliveryState.HELD))
            elif self._must_be_left(delivery):
                self._is_behind = self._has_missed = True
                self.counts.dropped += not persisted
                if delivery.alert_id is not None:
                    self._left[delivery.alert_id] = delivery.sequence
            else:
                self._add(delivery)
        self._wake.set()

    def reload(self) -> None:
        """Look into SQL again, after a replay; a held receiver is released by it."""
        self.is_held = False
        self._ledger.release()
        self.look_again()

    def look_again(self) -> None:
        """SQL may have deliveries that memory has not."""
        self._is_behind = self._has_missed = True
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
        self._backlog.clear()
        self._open_posting = _closed

    async def run(self) -> None:
        """Dispatch until stopped or cancelled. May be run again after a crash."""
        self._is_loading = False
        for under_way in (self._out, self._forgotten, self._to_split):
            under_way.clear()
        self._backlog.recover(self._clock.time())
        try:
            async with self._open_posting(self._sent) as enqueue, anyio.create_task_group() as tasks:
                tasks.start_soon(self._ledger.run)
                while not (self._is_stopping and not self._out and not self._has_due()):
                    self._wake = anyio.Event()
                    if self._is_behind and not self._is_loading and self._has_room():
                        self._is_loading = True
                        tasks.start_soon(self._load)
                    self._enqueue_due(enqueue, tasks)
                    while self._to_split:
                        tasks.start_soon(self._split, self._to_split.pop())
                    if self._trouble.is_news(self._clock.time()):
                        self._on_trouble(self.receiver.name, True, self._trouble.reason)
                    with anyio.move_on_after(self._rest_s()):
                        await self._wake.wait()
                tasks.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(1, shield=True):
                await self._ledger.flush()

    @property
    def _is_forgetful(self) -> bool:
        """Something is out that the backlog has not: a 410 came meanwhile."""
        return bool(self._forgotten)

    def _has_due(self) -> bool:
        now_s = self._clock.time()
        due_s = self._backlog.next_due_s(now_s)
        return due_s is not None and due_s <= now_s

    def _has_room(self) -> bool:
        return len(self._backlog) <= self._room // 2 and self._clock.time() >= self._load_at_s

    def _rest_s(self) -> float | None:
        now_s = self._clock.time()
        moments = []
        if len(self._out) < _AHEAD and not self.is_held:
            moments.append(self._backlog.next_due_s(now_s))
        moments.append(self._trouble.report_at_s)
        if self._is_behind and not self._is_loading and len(self._backlog) <= self._room // 2:
            moments.append(self._load_at_s)
        known = [moment for moment in moments if moment is not None]
        return max(0.0, min(known) - now_s) if known else None

    def _must_be_left(self, delivery: Delivery) -> bool:
        """Whether it waits until it is read from SQL: for want of room, or because it would overtake its alert.

        While the receiver is failing a tenth of the room is kept for what comes once it works again.
        """
        room = self._room - (self._room // 10 if self.is_failing else 0)
        if self._is_forgetful or len(self._backlog) >= room or delivery.alert_id in self._left:
            return True
        return self._is_behind and delivery.sequence > 1 and not self._backlog.has_predecessor(delivery)

    async def _load(self) -> None:
        name = self.receiver.name

        def work(session: Session) -> list[Delivery] | None:
            if outbox.is_held(session, name, fingerprint(self.receiver)):
                return None
            return outbox.pending(session, name, most)

        try:
            was_held = self.is_held
            # until then SQL would give what has been sent, or is enqueued
            if self._is_forgetful or not await self._ledger.flush():
                self._load_at_s = self._clock.time() + _RELOAD_S
                return
            self._has_missed = False
            sent, size, most = self._ledger.ids(), len(self._backlog), self._room + len(self._backlog)
            waiting = await self._database.write(work)
            if self._is_forgetful or (self.is_held and not was_held):  # a 410 came: what was read is outdated
                self._load_at_s = self._clock.time() + _RELOAD_S
                return
            self.is_held, found = waiting is None, waiting or []
            sent |= self._ledger.ids()
            new = [delivery for delivery in found if delivery.id not in sent and delivery not in self._backlog]
            free = max(0, self._room - self._room // 10 - len(self._backlog))
            for delivery in new[:free]:
                if delivery.sequence >= self._left.get(delivery.alert_id or "", 0):
                    self._left.pop(delivery.alert_id or "", None)
                self._add(delivery, is_new=False)
            self._is_behind = self._has_missed or len(found) >= most or len(new) > free
            if len(self._backlog) == size:
                self._load_at_s = self._clock.time() + _RELOAD_S
        except DBAPIError:
            self._load_at_s = self._clock.time() + _RELOAD_S
        finally:
            self._is_loading = False
            self._wake.set()

    def _add(self, delivery: Delivery, is_new: bool = True) -> None:
        self._backlog.add(delivery, self._clock.time(), self._clock.now(), is_new)

    def _enqueue_due(self, enqueue: Enqueue, tasks: TaskGroup) -> None:
        due: list[Delivery] = []
        while len(self._out) < _AHEAD and not self.is_held:
            turn = self._backlog.take(self._clock.time())
            if turn is None:
                break
            self._out.add(turn.delivery.id)
            if turn.together:
                tasks.start_soon(self._enqueue_digest, enqueue, turn)
            else:
                due.append(self._ready(turn.delivery))
        if due:
            enqueue(due)

    def _ready(self, delivery: Delivery) -> Delivery:
        """With the body that all its attempts send, which is stored from the first one on."""
        if not delivery.body:
            delivery = rendered(delivery, self._format)
            self._ledger.note(delivery)
        return delivery

    async def _enqueue_digest(self, enqueue: Enqueue, turn: Turn) -> None:
        if turn.delivery.id not in self._forgotten:
            digest = await self._digest(turn)
        if not self._is_over(turn.delivery):
            self._out.add(digest.id)
            enqueue([digest])

    def _is_over(self, delivery: Delivery) -> bool:
        """Take it off what is out. True when a 410 came meanwhile: what was to be done is not, SQL alone has it."""
        self._out.discard(delivery.id)
        was_forgotten = delivery.id in self._forgotten
        self._forgotten.discard(delivery.id)
        self._wake.set()
        return was_forgotten

    def _sent(self, news: Sequence[Sent]) -> None:
        for sent in news:
            was_forgotten = self._is_over(sent.delivery)
            if sent.outcome is not None:
                self._settle(sent.delivery, sent.outcome, sent.at, sent.duration_s)
            elif not was_forgotten:
                self._backlog.put_back(sent.delivery, self._clock.time())

    async def _digest(self, turn: Turn) -> Delivery:
        now, members = self._clock.now(), turn.together
        digest = digest_of(members, now, self._hub, self._format)
        self._backlog.merge(turn, digest, self._clock.time())
        self._note(digested(members, digest, now))
        await self._ledger.flush()  # stored before it is sent; with no database it is sent all the same
        self.counts.digests += 1
        return digest

    async def _split(self, digest: Delivery) -> None:
        """Have a digest that was refused sent in parts; while the database cannot say of what, it goes as it is."""
        members, now = await self._members_of(digest), self._clock.now()
        parts, marks = split(digest, members, now, self._hub, self._format)
        if members and digest.id not in self._forgotten:
            self._note(marks)
            await self._ledger.flush()
        if self._is_over(digest):
            return
        now_s = self._clock.time()
        if members:
            self._backlog.split(digest, parts, now_s)
        else:
            wait_s = ((digest.next_at or now) - now).total_seconds()
            self._backlog.put_off(digest, now_s + wait_s, now_s, is_outage=False)

    async def _members_of(self, digest: Delivery) -> list[Delivery]:
        """Empty when the database cannot say."""
        if not await self._ledger.flush():
            return []
        try:
            return await self._database.read(lambda session: outbox.members_of(session, digest.id))
        except DBAPIError:
            return []

    def _note(self, marks: Iterable[Delivery]) -> None:
        for mark in marks:
            self._ledger.note(mark)

    def _settle(self, delivery: Delivery, outcome: Outcome, at: datetime, duration_s: float) -> None:
        attempt, now_s = attempt_of(delivery, outcome, at, duration_s), self._clock.time()
        self.counts.attempts += 1
        if isinstance(outcome, Delivered):
            self.counts.delivered += 1
            self._finish(delivery, attempt, DeliveryState.DELIVERED)
            self._backlog.accepted(now_s)
            if not self.is_held and self._trouble.worked():
                self._on_trouble(self.receiver.name, False, None)
            return
        self.counts.failed += 1
        if self._trouble.failed(outcome.error, now_s, is_final=isinstance(outcome, Gone)):
            self._on_failure(Failure(self.receiver.name, outcome, self._trouble.has_worked))
        if isinstance(outcome, Gone):
            self._hold(delivery, attempt)
            return
        until_s = now_s
        if isinstance(outcome, Wait):
            until_s = self._backlog.pause(delivery, outcome.after_s, now_s, self._chance())
        delay_s = self._delay_s(outcome, attempt.number, self._backlog.age_s(delivery, now_s), until_s)
        if delay_s is None:
            self.counts.dead += 1
            self._on_dead(delivery, outcome.error)
            self._finish(delivery, attempt, DeliveryState.DEAD)
            return
        waiting = put_off(delivery, attempt, self._clock.now(), delay_s, self.is_held)
        self._ledger.note(waiting, attempt)
        is_digest = bool(delivery.members) and not self.is_held
        if isinstance(outcome, Refused) and is_digest and splits_digest(outcome.status, attempt.number):
            self._out.add(delivery.id)
            self._to_split.append(waiting)
        else:
            self._backlog.put_off(waiting, now_s + delay_s, now_s, is_outage=not isinstance(outcome, Refused))

    def _delay_s(
        self, outcome: Retry | Refused | Wait, attempts: int, age_s: float, until_s: float
    ) -> float | None:
        match outcome:
            case Wait():
                return retry_delay_s(attempts, age_s, 0.0, until_s - self._clock.time())
            case Refused():
                return refused_delay_s(attempts, age_s, self._chance())
            case Retry():
                return retry_delay_s(attempts, age_s, self._chance(), outcome.after_s)

    def _finish(self, delivery: Delivery, attempt: Attempt, state: DeliveryState) -> None:
        self._ledger.note(finished(delivery, attempt, state, self._clock.now()), attempt)
        self._backlog.finish(delivery, self._clock.time())

    def _hold(self, delivery: Delivery, attempt: Attempt) -> None:
        name, mark, at = self.receiver.name, fingerprint(self.receiver), self._clock.now()
        self.is_held = True
        self._backlog.clear()
        self._forgotten |= self._out
        self._ledger.note(held(delivery, attempt), attempt)
        self._ledger.then(lambda session: outbox.hold(session, name, mark, at))


def _closed(on_sent: OnSent) -> AbstractAsyncContextManager[Enqueue]:
    raise RuntimeError("this dispatcher is closed")
