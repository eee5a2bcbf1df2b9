"""What waits for one receiver: which may go now, which must wait, and which go together. Pure.

- Of each alert only the oldest message may go; a digest is a message of every alert in it.
- A message that fails holds up the later messages of its alerts and nothing else.
- New messages go before missed ones: those that failed before, or waited while the receiver wanted no messages.
  Missed ones go oldest first, at the receiver's `drain` rate, and as soon as any other message gets through.
- With grouping or a rate limit, messages that were never sent gather in a group and may go as a digest.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import count
from typing import NamedTuple

from alerts.config.rule import Receiver
from alerts.delivery.alert_order import AlertOrder
from alerts.delivery.digest import digest_of, digested
from alerts.delivery.formats import FORMATS
from alerts.delivery.formats.rendering import rendered
from alerts.delivery.groups import Groups
from alerts.delivery.pace import Pace
from alerts.delivery.retries import MOST_DELAY_S, early_retry_s, wait_delay_s
from alerts.delivery.turns import Group, Message, Queues, Waiting
from alerts.model.delivery import Delivery
from alerts.model.rate import Rate, parse_rate

_MOST_DONE = 10_000


class Turn(NamedTuple):
    """A delivery whose turn it is, and what is to be written; a new digest is to be in SQL before it is posted."""

    delivery: Delivery
    writes: list[Delivery]
    is_new_digest: bool


class Backlog:
    """Messages of one receiver by their turn. Those that are out stay here until they are finished or put off."""

    def __init__(self, receiver: Receiver, hub: str) -> None:
        """`hub` is the name in digests. Raises ValueError for a rate that cannot be read."""
        self.weight = 0  # messages, those in digests too
        self.out = 0  # deliveries
        self._hub, self._format = hub, FORMATS[receiver.format]
        self._rate = None if receiver.rate_limit is None else Rate(*parse_rate(receiver.rate_limit))
        self._has_queued = False  # something had to wait for the rate limit
        self._pace = Pace(*parse_rate(receiver.drain))
        self._order = AlertOrder()
        self._messages: dict[str, Message] = {}
        self._groups = Groups(receiver, hub)
        self._failed: dict[str, Message] = {}  # put off, and not tried early yet
        self._is_recovering = False  # what is read from SQL has been missed
        self._has_accepted = False  # since the last failure
        self._done: dict[str, int] = {}  # the newest sequence of alerts that is done with
        self._numbers = count(1)
        self._queues = Queues(self._may_go)

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, delivery: Delivery) -> bool:
        return delivery.id in self._messages

    @property
    def is_failing(self) -> bool:
        """There was an outage, and no message has got through since."""
        return self._is_recovering and not self._has_accepted

    def has_predecessor(self, delivery: Delivery) -> bool:
        """Whether the message of its alert that comes right before it is here, or was."""
        alert_id, before = delivery.alert_id or "", delivery.sequence - 1
        return self._done.get(alert_id) == before or self._order.has(alert_id, before)

    def add(self, delivery: Delivery, now_s: float, now: datetime, is_new: bool = True) -> None:
        """Have a delivery wait for its turn; one that is here already stays where it is.

        One that is not new was read from SQL.
        """
        if delivery in self:
            return
        due_s = now_s
        if delivery.next_at is not None:
            due_s += min(max(0.0, (delivery.next_at - now).total_seconds()), MOST_DELAY_S)
        is_missed = delivery.attempts > 0 or self._pace.is_paused or (self._is_recovering and not is_new)
        message = self._insert(delivery, due_s, is_missed)
        if delivery.first_at is not None:
            message.first_s = now_s - max(0.0, (now - delivery.first_at).total_seconds())
        if due_s > now_s:
            message.failed_s = now_s  # at the latest
            self._failed[delivery.id] = message
            if self._has_accepted:
                self._retry_early(message, now_s)
        self._place(message, now_s)

    def take(self, now_s: float, now: datetime) -> Turn | None:
        """The next to be sent, now out; None when none is due."""
        opens_s = self._pace.opens_at_s()
        if opens_s is None or now_s < opens_s:
            return None
        self._queues.make_due(now_s)
        waiting = self._queues.new()
        if waiting is None:
            waiting = self._queues.missed()
            self._is_recovering &= waiting is not None or not self._has_accepted
            missed_s = self._pace.missed_at_s()
            if missed_s is None or now_s < missed_s:
                return None
        if waiting is None:
            return None
        gathers = self._groups.gathers
        if self._rate is not None:
            left = self._rate.left(now_s)
            if left == 0:
                self._has_queued = True
                return None
            gathers |= left == 1 or self._has_queued
            self._rate.spend(now_s)
            self._has_queued = False
        is_missed = waiting.is_missed
        messages = self._gather(waiting, gathers, now_s) if isinstance(waiting, Group) else [waiting]
        turn = self._turn(messages, is_missed, now_s, now)
        self._pace.sent(turn.delivery.id, is_missed, now_s)
        return turn

    def split(self, digest: Delivery, parts: Iterable[Delivery], now_s: float) -> None:
        """The parts of a digest that was refused take its place, due now."""
        messages = [self._insert(part, now_s, is_missed=True) for part in parts]
        self._pace.answered(digest.id)
        self._remove(digest.id, now_s)
        for message in messages:
            self._queues.push(message, now_s)

    def put_off(self, delivery: Delivery, due_s: float, now_s: float, is_outage: bool = True) -> None:
        """It did not get through. What follows in its alerts waits with it; others do not.

        `is_outage`: the receiver may be down, not only unwilling to take this one.
        """
        message = self._messages[delivery.id]
        self._pace.answered(delivery.id)
        if is_outage:
            self._is_recovering, self._has_accepted = True, False
        self._failed[delivery.id] = message
        message.first_s = now_s if message.first_s is None else message.first_s
        message.delivery, message.due_s, message.failed_s, message.is_missed = delivery, due_s, now_s, True
        self._place(message, now_s)

    def pause(self, delivery: Delivery, asked_s: float | None, now_s: float, chance: float) -> float:
        """The answer to this message was that the receiver wants none for `asked_s`; returns until when none goes.

        All that waits counts as missed from now on.
        """
        is_first = not self._pace.is_paused
        self._pace.waits += self._pace.counts(delivery.id)
        until_s = self._pace.pause(now_s + wait_delay_s(self._pace.waits, chance, asked_s))
        self._pace.answered(delivery.id, is_wait=True)
        if is_first:
            for message in self._messages.values():
                message.is_missed = True
            self._groups.miss()
            self._queues.miss_new(now_s)
        return until_s

    def accepted(self, now_s: float) -> None:
        """A message got through: what failed before is tried early."""
        self._has_accepted = True
        for message in list(self._failed.values()):
            if self._retry_early(message, now_s):
                self._place(message, now_s)

    def finish(self, delivery: Delivery, now_s: float) -> None:
        """It is done with, whatever became of it."""
        self._pace.answered(delivery.id)
        for alert_id, (_, last) in delivery.alerts.items():
            self._done.pop(alert_id, None)
            self._done[alert_id] = last
            if len(self._done) > _MOST_DONE:
                del self._done[next(iter(self._done))]
        self._remove(delivery.id, now_s)

    def drop(self, delivery: Delivery, now_s: float) -> None:
        """Let go of one that was out and is to be sent later; SQL has it."""
        self._pace.answered(delivery.id)
        self._remove(delivery.id, now_s)

    def drop_waiting(self) -> None:
        """Let go of all that is not out; SQL has it."""
        out = [message for message in self._messages.values() if message.is_out]
        for dropped in (self._messages, self._groups, self._failed, self._queues, self._order, self._done):
            dropped.clear()
        self.weight = 0
        for message in out:
            self._keep(message)

    def restart(self, now_s: float) -> None:
        """Nothing is out any more, and no answer will come: those are due again."""
        self._pace.recover()
        for message in list(self._messages.values()):
            if message.is_out:
                message.due_s = now_s
                self._place(message, now_s)

    def next_due_s(self, now_s: float) -> float | None:
        """When something is due that is not out; None when nothing waits, or all waits for an answer."""
        opens_s, missed_s = self._pace.opens_at_s(), self._pace.missed_at_s()
        if opens_s is None or missed_s is None:
            return None
        moments = []
        if self._queues.new() is not None:
            moments.append(opens_s)
        if self._queues.missed() is not None:
            moments.append(missed_s)
        if (later := self._queues.later()) is not None:
            moments.append(max(later.due_s, missed_s if later.is_missed else opens_s))
        if not moments:
            return None
        free_s = 0.0 if self._rate is None else self._rate.free_at_s(now_s)
        return max(min(moments), free_s)

    def age_s(self, delivery: Delivery, now_s: float) -> float:
        """How long ago the first attempt failed."""
        first_s = self._messages[delivery.id].first_s
        return 0.0 if first_s is None else now_s - first_s

    def _turn(self, messages: list[Message], is_missed: bool, now_s: float, now: datetime) -> Turn:
        """Mark them as out, as a digest where they are many."""
        message, members = messages[0], [one.delivery for one in messages]
        is_digest = len(members) > 1
        if is_digest:
            message = self._insert(digest_of(members, self._hub, self._format), now_s, is_missed)
            writes = digested(members, message.delivery, now)
        else:
            has_body, message.delivery = message.delivery.body, rendered(message.delivery, self._format)
            writes = [] if has_body else [message.delivery]
        message.is_out, message.stamp = True, 0
        self.out += 1
        self._failed.pop(message.delivery.id, None)
        for member in members if is_digest else ():
            self._remove(member.id, now_s)
        return Turn(message.delivery, writes, is_digest)

    def _retry_early(self, message: Message, now_s: float) -> bool:
        """Have it due earlier, as the receiver works; False where it is not earlier."""
        del self._failed[message.delivery.id]
        early_s = max(now_s, message.failed_s + early_retry_s(message.early_retries))
        message.early_retries += 1
        is_earlier = early_s < message.due_s
        message.due_s = min(early_s, message.due_s)
        return is_earlier

    def _insert(self, delivery: Delivery, due_s: float, is_missed: bool) -> Message:
        message = Message(delivery, delivery.alerts, next(self._numbers), due_s, is_missed)
        self._keep(message)
        return message

    def _keep(self, message: Message) -> None:
        self._messages[message.delivery.id] = message
        self._order.add(message.delivery.id, message.alerts)
        self.weight += message.weight

    def _remove(self, id_: str, now_s: float) -> None:
        message = self._messages.pop(id_)
        self._failed.pop(id_, None)
        self.weight -= message.weight
        self.out -= message.is_out
        for oldest in self._order.remove(id_, message.alerts):
            follower = self._messages[oldest]
            if follower.group is not None:
                self._queues.push(follower.group, now_s)
            elif not follower.is_out:
                follower.is_missed |= message.is_missed
                self._queues.push(follower, now_s)

    def _place(self, message: Message, now_s: float) -> None:
        """Have a message wait, by itself or in its group."""
        self.out -= message.is_out
        message.is_out = False
        group = self._groups.join(message)
        if group is None:
            self._queues.push(message, now_s)
        elif not group.stamp:
            self._queues.push(group, now_s)

    def _may_go(self, waiting: Waiting) -> bool:
        if isinstance(waiting, Group):
            return any(self._may_go(message) for message in waiting.messages.values())
        return self._order.is_oldest(waiting.delivery.id, waiting.alerts)

    def _gather(self, group: Group, gathers: bool, now_s: float) -> list[Message]:
        """Take messages out of a group: as many as a digest holds, or one."""
        found = self._groups.take(group, self._order, gathers, now_s)
        if group.messages:
            self._queues.push(group, now_s)
        return found
