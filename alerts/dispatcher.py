"""Sends what is due to one receiver: at least once, each alert in order, and never in another receiver's way."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import NAMESPACE_URL, uuid5

import anyio
from anyio.abc import TaskGroup
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from alerts import outbox
from alerts.backlog import Backlog, Turn
from alerts.clock import Clock
from alerts.courier import Hand, OpenCourier, Sent
from alerts.database import Database
from alerts.delivery import Attempt, Delivery, DeliveryState
from alerts.fingerprint import fingerprint
from alerts.ledger import Ledger
from alerts.message import render, render_digest
from alerts.retries import retry_delay_s
from alerts.rule import Receiver
from alerts.trouble import Trouble
from alerts.webhook import Delivered, Gone, Outcome, Retry

_AHEAD = 64  # with the courier at most, waiting or under way
_RELOAD_S = 1.0
_NO_LANE = "\n"  # of what was with the courier when a 410 emptied the backlog


class OnTrouble(Protocol):
    """Told when a receiver has failed for 10 min or is gone, and when it takes messages again."""

    def __call__(self, receiver: str, failing: bool, reason: str | None) -> None: ...


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
        open_courier: OpenCourier,
        database: Database,
        clock: Clock,
        hub: str,
        on_trouble: OnTrouble,
        chance: Callable[[], float] = random.random,
        room: int = 10_000,
    ) -> None:
        """`hub` is the name in the bodies. Raises ValueError for a rate that cannot be read."""
        self.receiver = receiver
        self.counts = Counts()
        self.is_held = False
        self._open_courier = open_courier
        self._database = database
        self._clock = clock
        self._hub = hub
        self._on_trouble = on_trouble
        self._chance = chance
        self._room = room
        self._backlog = Backlog(receiver)
        self._ledger = Ledger(database)
        self._out: dict[str, str] = {}  # with the courier: the lane of each, by id
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
            if self.is_held:
                self._ledger.note(replace(delivery, state=DeliveryState.HELD))
            elif self._must_be_left(delivery, persisted):
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

    async def run(self) -> None:
        """Dispatch until stopped or cancelled. May be run again after a crash."""
        self._is_loading = False
        self._out.clear()
        self._backlog.recover(self._clock.time())
        try:
            async with self._open_courier(self._sent) as hand, anyio.create_task_group() as tasks:
                tasks.start_soon(self._ledger.run)
                while not (self._is_stopping and not self._out and not self._has_due()):
                    self._wake = anyio.Event()
                    if self._is_behind and not self._is_loading and self._has_room():
                        self._is_loading = True
                        tasks.start_soon(self._load)
                    self._hand_over_due(hand, tasks)
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
        """Something is with the courier that the backlog has not: a 410 came meanwhile."""
        return _NO_LANE in self._out.values()

    def _has_due(self) -> bool:
        due_s = self._backlog.next_due_s()
        return due_s is not None and due_s <= self._clock.time()

    def _has_room(self) -> bool:
        return len(self._backlog) <= self._room // 2 and self._clock.time() >= self._load_at_s

    def _rest_s(self) -> float | None:
        now_s = self._clock.time()
        moments = []
        if len(self._out) < _AHEAD and not self.is_held:
            moments.append(self._backlog.next_due_s())
        moments.append(self._trouble.report_at_s)
        if self._is_behind and not self._is_loading and len(self._backlog) <= self._room // 2:
            moments.append(self._load_at_s)
        known = [moment for moment in moments if moment is not None]
        return max(0.0, min(known) - now_s) if known else None

    def _must_be_left(self, delivery: Delivery, persisted: bool) -> bool:
        """Whether it waits until it is read from SQL: for want of room, or because it would overtake its alert."""
        if self._is_forgetful or len(self._backlog) >= self._room or delivery.alert_id in self._left:
            return True
        if persisted or not self._is_behind:
            return self._is_behind
        return delivery.sequence > 1 and not self._backlog.has_predecessor(delivery)

    async def _load(self) -> None:
        name = self.receiver.name

        def work(session: Session) -> list[Delivery] | None:
            if outbox.is_held(session, name, fingerprint(self.receiver)):
                return None
            return outbox.pending(session, name, most, lambda notice: render(notice, self._hub))

        try:
            # until then SQL would give what has been sent, or is with the courier
            if self._is_forgetful or not await self._ledger.flush():
                self._load_at_s = self._clock.time() + _RELOAD_S
                return
            self._has_missed = False
            sent, size, most = self._ledger.ids(), len(self._backlog), self._room + len(self._backlog)
            was_held = self.is_held
            waiting = await self._database.write(work)
            if self._is_forgetful or (self.is_held and not was_held):  # a 410 came: what was read is outdated
                self._load_at_s = self._clock.time() + _RELOAD_S
                return
            self.is_held, found = waiting is None, waiting or []
            sent |= self._ledger.ids()
            new = [delivery for delivery in found if delivery.id not in sent and delivery not in self._backlog]
            free = max(0, self._room - len(self._backlog))
            for delivery in new[:free]:
                if delivery.sequence >= self._left.get(delivery.alert_id or "", 0):
                    self._left.pop(delivery.alert_id or "", None)
                self._add(delivery)
            self._is_behind = self._has_missed or len(found) >= most or len(new) > free
            if len(self._backlog) == size:
                self._load_at_s = self._clock.time() + _RELOAD_S
        except DBAPIError:
            self._load_at_s = self._clock.time() + _RELOAD_S
        finally:
            self._is_loading = False
            self._wake.set()

    def _add(self, delivery: Delivery) -> None:
        self._backlog.add(delivery, self._clock.time(), self._clock.now())

    def _hand_over_due(self, hand: Hand, tasks: TaskGroup) -> None:
        due: list[Delivery] = []
        while len(self._out) < _AHEAD and not self.is_held:
            turn = self._backlog.take(self._clock.time())
            if turn is None:
                break
            self._out[turn.delivery.id] = turn.lane
            if turn.together:
                tasks.start_soon(self._hand_over_digest, hand, turn)
            else:
                due.append(turn.delivery)
        if due:
            hand(due)

    async def _hand_over_digest(self, hand: Hand, turn: Turn) -> None:
        if self._out[turn.delivery.id] == _NO_LANE:
            del self._out[turn.delivery.id]
            self._wake.set()
            return
        digest = await self._digest(turn)
        self._out[digest.id] = self._out.pop(turn.delivery.id)
        hand([digest])

    def _sent(self, news: Sequence[Sent]) -> None:
        for sent in news:
            lane = self._out.pop(sent.delivery.id)
            if sent.outcome is not None:  # else a 410 came before, and SQL alone has it now
                self._settle(lane, sent.delivery, sent.outcome, sent.at, sent.duration_s)
        self._wake.set()

    async def _digest(self, turn: Turn) -> Delivery:
        at, members = self._clock.now(), turn.together
        id_ = str(uuid5(NAMESPACE_URL, "\n".join(member.id for member in members)))
        body = render_digest(id_, at, [member.body for member in members], self._hub)
        digest = Delivery(id_, self.receiver.name, "digest", at, body)
        self._backlog.merge(turn, digest)
        for member in members:
            self._ledger.note(replace(member, state=DeliveryState.DIGESTED, digest_id=id_, finished_at=at))
        self._ledger.note(digest)
        await self._ledger.flush()  # stored before it is sent; with no database it is sent all the same
        self.counts.digests += 1
        return digest

    def _settle(self, lane: str, delivery: Delivery, outcome: Outcome, at: datetime, duration_s: float) -> None:
        number, error = delivery.attempts + 1, outcome.error if isinstance(outcome, Retry) else None
        attempt = Attempt(delivery.id, number, at, duration_s, outcome.status, error)
        self.counts.attempts += 1
        match outcome:
            case Delivered():
                self.counts.delivered += 1
                self._finish(lane, delivery, DeliveryState.DELIVERED, attempt)
                if not self.is_held and self._trouble.worked():
                    self._on_trouble(self.receiver.name, False, None)
            case Gone():
                self.counts.failed += 1
                self._trouble.failed("HTTP 410: it wants no more messages", self._clock.time(), is_final=True)
                self._hold(delivery, attempt)
            case Retry():
                self.counts.failed += 1
                self._trouble.failed(outcome.error, self._clock.time())
                self._put_off(lane, delivery, outcome.after_s, attempt)

    def _finish(self, lane: str, delivery: Delivery, state: DeliveryState, attempt: Attempt) -> None:
        first_at = delivery.first_at or attempt.at
        done = replace(
            delivery,
            state=state,
            attempts=attempt.number,
            first_at=first_at,
            next_at=None,
            finished_at=self._clock.now(),
        )
        self._ledger.note(done, attempt)
        self._backlog.finish(lane, delivery, self._clock.time())

    def _put_off(self, lane: str, delivery: Delivery, after_s: float | None, attempt: Attempt) -> None:
        now, first_at = self._clock.now(), delivery.first_at or attempt.at
        delay_s = retry_delay_s(attempt.number, (now - first_at).total_seconds(), self._chance(), after_s)
        if delay_s is None:
            self.counts.dead += 1
            self._finish(lane, delivery, DeliveryState.DEAD, attempt)
            return
        waiting = replace(
            delivery,
            state=DeliveryState.HELD if self.is_held else DeliveryState.PENDING,
            attempts=attempt.number,
            first_at=first_at,
            next_at=now + timedelta(seconds=delay_s),
        )
        self._ledger.note(waiting, attempt)
        now_s = self._clock.time()
        self._backlog.put_off(lane, waiting, now_s + delay_s, now_s)

    def _hold(self, delivery: Delivery, attempt: Attempt) -> None:
        name, mark, at = self.receiver.name, fingerprint(self.receiver), self._clock.now()
        self.is_held = True
        self._backlog.clear()
        self._out = dict.fromkeys(self._out, _NO_LANE)
        first_at = delivery.first_at or attempt.at
        held = replace(delivery, state=DeliveryState.HELD, attempts=attempt.number, first_at=first_at)
        self._ledger.note(held, attempt)
        self._ledger.then(lambda session: outbox.hold(session, name, mark, at))
