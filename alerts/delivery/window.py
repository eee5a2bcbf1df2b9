"""A bounded window on the queue of one receiver's deliveries, which SQL holds. Pure: the dispatcher tells it what
happened, and it says what to send, what to write and what to load.

              load                       all read
    BEHIND ----------> LOADING ------------------------> SYNCED
     ^ ^ ^               |  |                              |
     | | +-- failed, ----+  | left out,                    | left out,
     | |     more to read,  | told to look again           | told to look again
     | |     no room        v                              |
     | +----------------- OVERTAKEN                        |
     +-----------------------------------------------------+

    HELD: after a 410 in any state, or when SQL says so while LOADING; `resumed` leads back to BEHIND.

Invariants:
- Of each alert the window has a run without a gap: no pending delivery is in the window while an earlier one of its
  alert is in SQL only. A delivery that would break this, or finds no room, is left out and loaded from SQL later.
- Deliveries that are out stay in the window until they are answered, over a 410 and a replay too. So none is out
  twice at once, and the later ones of its alerts wait for it.
- Everything pending in SQL that is not in the window is at or behind the place from which the next load reads; in
  SYNCED there is no such delivery.
- A digest takes the room of the messages in it, so that splitting one needs no more. The window holds `room`
  messages at most, or one digest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from alerts.config.rule import Receiver
from alerts.delivery.alert_order import in_order
from alerts.delivery.answers import Delivered, Gone, Outcome, Refused, Retry, Wait, splits_digest
from alerts.delivery.backlog import Backlog, Turn
from alerts.delivery.digest import split
from alerts.delivery.formats import FORMATS
from alerts.delivery.formats.rendering import rendered
from alerts.delivery.retries import refused_delay_s, retry_delay_s
from alerts.model.delivery import BEGINNING, END, Attempt, Delivery, DeliveryState, Place

_LOAD = 1000  # deliveries at once: reading more beside a busy event loop slows both down
_AGAIN_S = 1.0


class State(Enum):
    """What the window knows of the queue in SQL."""

    BEHIND = "behind"  # SQL has, or will have, deliveries that are not in the window
    LOADING = "loading"  # some are being read
    OVERTAKEN = "overtaken"  # the same, and others were left out meanwhile
    SYNCED = "synced"  # all that is pending is in the window
    HELD = "held"  # the receiver said 410: nothing is sent until it is resumed


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """What to read: at most `limit` pending deliveries that come after this place."""

    after: Place
    limit: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What an answer means for a delivery, to be written; `is_to_split` says to call `split` next."""

    delivery: Delivery
    attempt: Attempt
    is_to_split: bool = False


class Window:
    """The next deliveries of a receiver. Times are steady seconds, except for `now`, the aware wall time."""

    def __init__(self, receiver: Receiver, hub: str, room: int = 10_000) -> None:
        """`hub` is the name in digests. Raises ValueError for a rate that cannot be read."""
        self.state = State.BEHIND
        self.dropped = 0  # offered, not stored and left out: sent once stored
        self._hub, self._format = hub, FORMATS[receiver.format]
        self._room = room
        self._spare = room // 10  # for what is new when an outage ends
        self._backlog = Backlog(receiver, hub)
        self._place = BEGINNING  # the next load reads from here
        self._load: Load | None = None
        self._load_at_s = 0.0
        self._gone: set[str] = set()  # deliveries that left the window while some were read

    def __len__(self) -> int:
        return len(self._backlog)

    def __contains__(self, delivery: Delivery) -> bool:
        return delivery in self._backlog

    @property
    def weight(self) -> int:
        """The messages it holds, those in digests too."""
        return self._backlog.weight

    def offered(
        self, deliveries: Iterable[Delivery], is_stored: bool, now_s: float, now: datetime
    ) -> list[Delivery]:
        """Take new deliveries; returns what is to be written. `is_stored` says that SQL has them.

        Those that are not stored are written with their body, as their document may never be.
        """
        deliveries = list(deliveries)
        writes = deliveries if is_stored else [rendered(delivery, self._format) for delivery in deliveries]
        if self.state is State.HELD:
            return [_held(delivery) for delivery in writes]
        for delivery in deliveries:
            if self._may_enter(delivery):
                self._backlog.add(delivery, now_s, now)
            else:
                self._leave_out((delivery.created_at, ""))
                self.dropped += not is_stored
        return [] if is_stored else writes

    def look_again(self) -> None:
        """SQL may have deliveries anywhere in the queue that the window has not."""
        if self.state is not State.HELD:
            self._leave_out(BEGINNING)

    def resumed(self) -> None:
        """A replay made deliveries due again; it ends a hold."""
        if self.state is State.HELD:
            self.state = State.BEHIND
        self.look_again()

    def loads_at_s(self) -> float | None:
        """When something is to be loaded; None while nothing is."""
        has_room = self._free() >= max(1, min(_LOAD, self._room // 2))
        return self._load_at_s if self.state is State.BEHIND and has_room else None

    def load(self, now_s: float) -> Load | None:
        """What to load now: answered by `loaded`, `found_held` or `load_failed`."""
        at_s = self.loads_at_s()
        if at_s is None or now_s < at_s:
            return None
        self._load = Load(self._place, min(_LOAD, self._free()))
        self._place, self.state = END, State.LOADING
        self._gone.clear()
        return self._load

    def loaded(
        self, load: Load, deliveries: Sequence[Delivery], reached: Place | None, now_s: float, now: datetime
    ) -> None:
        """Take what was read: all up to `reached` (None: to the end), with all before it of the same alerts."""
        if load is not self._load:
            return
        is_whole = True
        for delivery in in_order([one for one in deliveries if one.id not in self._gone]):
            if delivery in self._backlog:
                continue
            is_whole = not len(self) or (len(delivery.members) or 1) <= self._free()
            if not is_whole:
                self._load_at_s = now_s + _AGAIN_S
                break
            self._backlog.add(delivery, now_s, now, is_new=False)
        is_synced = self.state is State.LOADING and is_whole and reached is None
        self._end_load((reached or END) if is_whole else load.after)
        if is_synced:
            self.state = State.SYNCED

    def load_failed(self, load: Load, now_s: float) -> None:
        """It could not be read."""
        if load is self._load:
            self._load_at_s = now_s + _AGAIN_S
            self._end_load(load.after)

    def found_held(self, load: Load) -> None:
        """SQL says that the receiver has said 410."""
        if load is not self._load:
            return
        if self.state is State.OVERTAKEN:  # perhaps by a replay
            self._end_load(load.after)
        else:
            self._hold()

    def next(self, now_s: float, now: datetime) -> Turn | None:
        """The next to be sent; it is out from now on, until `answered` or `untried`."""
        turn = self._backlog.take(now_s, now)
        if turn is not None:
            self._leave(write.id for write in turn.writes)
        return turn

    def untried(self, delivery: Delivery, now_s: float) -> None:
        """It was not posted, as the receiver is held."""
        self._backlog.drop(delivery, now_s)

    def answered(
        self,
        delivery: Delivery,
        outcome: Outcome,
        at: datetime,
        duration_s: float,
        now_s: float,
        now: datetime,
        chance: float,
    ) -> Fate:
        """It was posted `at`; `chance` is uniform in [0, 1)."""
        error = None if isinstance(outcome, Delivered) else outcome.error
        attempt = Attempt(delivery.id, delivery.attempts + 1, at, duration_s, outcome.status, error, outcome.answer)
        tried = replace(delivery, attempts=attempt.number, first_at=delivery.first_at or at)
        if isinstance(outcome, Gone):
            self._backlog.drop(delivery, now_s)
            self._hold()
            return Fate(_held(tried), attempt)
        if isinstance(outcome, Delivered):
            self._finish(delivery, now_s)
            self._backlog.accepted(now_s)
            return Fate(_finished(tried, DeliveryState.DELIVERED, now), attempt)
        delay_s = self._delay_s(tried, outcome, now_s, chance)
        if delay_s is None:
            self._finish(delivery, now_s)
            return Fate(_finished(tried, DeliveryState.DEAD, now), attempt)
        waiting = replace(tried, next_at=now + timedelta(seconds=delay_s))
        if self.state is State.HELD:
            self._backlog.drop(delivery, now_s)
            return Fate(_held(waiting), attempt)
        if isinstance(outcome, Refused) and delivery.members and splits_digest(outcome.status, attempt.number):
            return Fate(waiting, attempt, is_to_split=True)
        self._backlog.put_off(waiting, now_s + delay_s, now_s, is_outage=not isinstance(outcome, Refused))
        return Fate(waiting, attempt)

    def split(self, digest: Delivery, members: Sequence[Delivery], now_s: float, now: datetime) -> list[Delivery]:
        """Have a refused digest sent in parts; returns what is to be written.

        Without `members`, as the database cannot say what they are, it goes as it is, later.
        """
        if self.state is State.HELD:
            self._backlog.drop(digest, now_s)
            return []
        if not members:
            wait_s = ((digest.next_at or now) - now).total_seconds()
            self._backlog.put_off(digest, now_s + wait_s, now_s, is_outage=False)
            return []
        parts, writes = split(digest, members, now, self._hub, self._format)
        self._backlog.split(digest, parts, now_s)
        self._leave([digest.id])
        return writes

    def wakes_at_s(self, now_s: float, can_send: bool = True) -> float | None:
        """When there is something to send or to load; None: not before something else happens."""
        moments = [self.loads_at_s(), self._backlog.next_due_s(now_s) if can_send else None]
        return min((moment for moment in moments if moment is not None), default=None)

    def is_idle(self, now_s: float) -> bool:
        """Nothing is out, and nothing is due."""
        due_s = self._backlog.next_due_s(now_s)
        return not self._backlog.out and (due_s is None or due_s > now_s)

    def restarted(self, now_s: float) -> None:
        """Nothing is out or being read any more, and no answer will come."""
        if self._load is not None:
            self._end_load(self._load.after)
        self._backlog.restart(now_s)

    def clear(self) -> None:
        """Let go of everything; it is not used again."""
        self._backlog.restart(0.0)
        self._backlog.drop_waiting()

    def _may_enter(self, delivery: Delivery) -> bool:
        free = self._room - self.weight - (self._spare if self._backlog.is_failing else 0)
        if free <= 0:
            return False
        return self.state is State.SYNCED or delivery.sequence <= 1 or self._backlog.has_predecessor(delivery)

    def _free(self) -> int:
        return self._room - self._spare - self.weight

    def _leave_out(self, place: Place) -> None:
        self._place = min(self._place, place)
        self.state = State.BEHIND if self._load is None else State.OVERTAKEN

    def _end_load(self, place: Place) -> None:
        self._load, self.state = None, State.BEHIND
        self._place = min(self._place, place)

    def _hold(self) -> None:
        self._load, self.state = None, State.HELD
        self._backlog.drop_waiting()

    def _finish(self, delivery: Delivery, now_s: float) -> None:
        self._backlog.finish(delivery, now_s)
        self._leave([delivery.id])

    def _leave(self, ids: Iterable[str]) -> None:
        if self._load is not None:
            self._gone.update(ids)

    def _delay_s(
        self, tried: Delivery, outcome: Retry | Refused | Wait, now_s: float, chance: float
    ) -> float | None:
        age_s = self._backlog.age_s(tried, now_s)
        match outcome:
            case Wait():
                until_s = self._backlog.pause(tried, outcome.after_s, now_s, chance)
                return retry_delay_s(tried.attempts, age_s, 0.0, until_s - now_s)
            case Refused():
                return refused_delay_s(tried.attempts, age_s, chance)
            case Retry():
                return retry_delay_s(tried.attempts, age_s, chance, outcome.after_s)


def _held(delivery: Delivery) -> Delivery:
    return replace(delivery, state=DeliveryState.HELD)


def _finished(delivery: Delivery, state: DeliveryState, now: datetime) -> Delivery:
    return replace(delivery, state=state, next_at=None, finished_at=now)
