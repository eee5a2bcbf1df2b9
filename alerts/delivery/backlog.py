"""What waits for one receiver: which may go now, which must wait, and which go together. Pure.

- Of each alert only the oldest message may go; a digest is a message of every alert in it.
- A message that fails holds up the later messages of its alerts and nothing else.
- New messages go before missed ones: those that failed before, or waited while the receiver wanted no messages.
  Missed ones go oldest first, at the receiver's `drain` rate, and as soon as any other message gets through.
- With grouping or a rate limit, messages that were never sent gather in a group and may go as a digest.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from alerts.config.rule import Receiver
from alerts.delivery.alert_order import AlertOrder
from alerts.delivery.formats import FORMATS
from alerts.delivery.formats.rendering import size_in_digest
from alerts.delivery.pace import Pace
from alerts.delivery.retries import MOST_DELAY_S, early_retry_s, wait_delay_s
from alerts.delivery.turns import Group, Message, Queues, Waiting
from alerts.model.delivery import Delivery
from alerts.model.rate import Rate, parse_rate

_MOST_KNOWN_GROUPS = 1000
_MOST_DONE = 10_000


@dataclass(frozen=True, slots=True)
class Turn:
    """A delivery whose turn it is. With `together` it goes as a digest of all of them."""

    delivery: Delivery
    together: list[Delivery]


class Backlog:
    """Messages of one receiver by their turn. Those that are out stay here until they are finished or put off."""

    def __init__(self, receiver: Receiver, digest_bytes: int | None = None) -> None:
        """`digest_bytes` is the room for messages in a digest; None: as much as the format of the receiver has.

        Raises ValueError for a rate that cannot be read.
        """
        self._receiver = receiver
        self._format = FORMATS[receiver.format]
        self._digest_bytes = self._format.digest_bytes if digest_bytes is None else digest_bytes
        self._rate = None if receiver.rate_limit is None else Rate(*parse_rate(receiver.rate_limit))
        self._has_queued = False  # something had to wait for the rate limit
        self._pace = Pace(*parse_rate(receiver.drain))
        self._order = AlertOrder()
        self._messages: dict[str, Message] = {}
        self._groups: dict[str, Group] = {}
        self._group_sent_s: dict[str, float] = {}
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
    def is_paused(self) -> bool:
        """The receiver said wait, and has taken nothing since."""
        return self._pace.is_paused

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
        is_missed = delivery.attempts > 0 or self.is_paused or (self._is_recovering and not is_new)
        message = self._insert(delivery, due_s, is_missed)
        if delivery.first_at is not None:
            message.first_s = now_s - max(0.0, (now - delivery.first_at).total_seconds())
        if due_s > now_s:
            message.failed_s = now_s  # at the latest
            self._failed[delivery.id] = message
            if self._has_accepted:
                self._retry_early(message, now_s)
        self._place(message, now_s)

    def take(self, now_s: float) -> Turn | None:
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
        gathers = bool(self._receiver.group_by)
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
        for message in messages:
            message.is_out, message.stamp = True, 0
            self._failed.pop(message.delivery.id, None)
        first = messages[0].delivery
        self._pace.sent(first.id, is_missed, now_s)
        return Turn(first, [message.delivery for message in messages] if len(messages) > 1 else [])

    def merge(self, turn: Turn, digest: Delivery, now_s: float) -> None:
        """A digest takes the place of its members."""
        if turn.delivery.id not in self._messages:  # cleared meanwhile
            return
        is_missed = self._messages[turn.delivery.id].is_missed
        self._insert(digest, now_s, is_missed).is_out = True
        self._pace.replaced(turn.delivery.id, digest.id)
        for member in turn.together:
            self._remove(member.id, now_s)

    def split(self, digest: Delivery, parts: Iterable[Delivery], now_s: float) -> None:
        """The parts of a digest that was refused take its place, due now."""
        if digest.id not in self._messages:
            return
        messages = [self._insert(part, now_s, is_missed=True) for part in parts if part not in self]
        self._pace.answered(digest.id)
        self._remove(digest.id, now_s)
        for message in messages:
            self._queues.push(message, now_s)

    def put_off(self, delivery: Delivery, due_s: float, now_s: float, is_outage: bool = True) -> None:
        """It did not get through. What follows in its alerts waits with it; others do not.

        `is_outage`: the receiver may be down, not only unwilling to take this one.
        """
        message = self._messages.get(delivery.id)
        if message is None:
            return
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
        is_first = not self.is_paused
        self._pace.waits += self._pace.counts(delivery.id)
        until_s = self._pace.pause(now_s + wait_delay_s(self._pace.waits, chance, asked_s))
        self._pace.answered(delivery.id, is_wait=True)
        if is_first:
            for message in self._messages.values():
                message.is_missed = True
            for group in self._groups.values():
                group.is_missed = True
            self._queues.miss_new(now_s)
        return until_s

    def accepted(self, now_s: float) -> None:
        """A message got through: what failed before is tried early."""
        self._has_accepted = True
        for message in list(self._failed.values()):
            if self._retry_early(message, now_s):
                self._place(message, now_s)

    def put_back(self, delivery: Delivery, now_s: float) -> None:
        """It was out and has not been tried: it is due again."""
        message = self._messages.get(delivery.id)
        if message is not None:
            self._pace.answered(delivery.id, is_wait=True)
            message.is_out, message.due_s, message.is_missed = False, now_s, message.is_missed or self.is_paused
            self._queues.push(message, now_s)

    def finish(self, delivery: Delivery, now_s: float) -> None:
        """It is done with, whatever became of it."""
        self._pace.answered(delivery.id)
        if delivery.id not in self._messages:
            return
        for alert_id, (_, last) in delivery.alerts.items():
            self._done.pop(alert_id, None)
            self._done[alert_id] = last
            if len(self._done) > _MOST_DONE:
                del self._done[next(iter(self._done))]
        self._remove(delivery.id, now_s)

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
        message = self._messages.get(delivery.id)
        return 0.0 if message is None or message.first_s is None else now_s - message.first_s

    def recover(self, now_s: float) -> None:
        """Nothing is out any more: those are due again."""
        self._pace.recover()
        for message in list(self._messages.values()):
            if message.is_out:
                message.due_s = now_s
                self._place(message, now_s)

    def clear(self) -> None:
        """Forget everything; what is out may still be finished or put off, to no effect."""
        self._pace.recover()
        for forgotten in (self._messages, self._groups, self._failed, self._queues, self._order, self._done):
            forgotten.clear()

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
        self._messages[delivery.id] = message
        self._order.add(delivery.id, message.alerts)
        return message

    def _remove(self, id_: str, now_s: float) -> None:
        message = self._messages.pop(id_)
        self._failed.pop(id_, None)
        for oldest in self._order.remove(id_, message.alerts):
            follower = self._messages[oldest]
            if follower.group is not None:
                self._queues.push(follower.group, now_s)
            elif not follower.is_out:
                follower.is_missed |= message.is_missed
                self._queues.push(follower, now_s)

    def _place(self, message: Message, now_s: float) -> None:
        """Have a message wait, by itself or in its group."""
        message.is_out = False
        key = self._group_of(message.delivery)
        if key is None:
            self._queues.push(message, now_s)
            return
        group = self._groups.get(key)
        if group is None:
            due_s = message.due_s
            if self._receiver.group_by:
                sent_s = self._group_sent_s.get(key)
                due_s += self._receiver.group_wait
                due_s = due_s if sent_s is None else max(due_s, sent_s + self._receiver.group_interval)
            group = self._groups[key] = Group(key, message.number, due_s, message.is_missed, message.created_at)
        message.group, group.messages[message.delivery.id] = group, message
        if not group.stamp:
            self._queues.push(group, now_s)

    def _may_go(self, waiting: Waiting) -> bool:
        if isinstance(waiting, Group):
            return any(self._may_go(message) for message in waiting.messages.values())
        return self._order.is_oldest(waiting.delivery.id, waiting.alerts)

    def _gather(self, group: Group, gathers: bool, now_s: float) -> list[Message]:
        """Take messages out of a group: as many as a digest holds, or one."""
        found: dict[str, Message] = {}
        most, room = (self._format.digest_items if gathers else 1), self._digest_bytes
        for id_, message in group.messages.items():
            if any(before not in found for before in self._order.before(id_, message.alerts)):
                continue
            room -= size_in_digest(message.delivery, self._format)
            if found and room < 0:
                break
            found[id_] = message
            if len(found) == most:
                break
        for id_, message in found.items():
            del group.messages[id_]
            message.group = None
        self._note_sent(group.key, now_s)
        group.stamp = 0
        if group.messages:
            group.due_s = now_s
            self._queues.push(group, now_s)
        else:
            del self._groups[group.key]
        return list(found.values())

    def _note_sent(self, key: str, now_s: float) -> None:
        if not self._receiver.group_by:
            return
        self._group_sent_s[key] = now_s
        if len(self._group_sent_s) > _MOST_KNOWN_GROUPS:
            since_s = now_s - self._receiver.group_interval
            self._group_sent_s = {key: sent_s for key, sent_s in self._group_sent_s.items() if sent_s > since_s}

    def _group_of(self, delivery: Delivery) -> str | None:
        """The group it gathers in; None for one that goes by itself, such as one that was sent before."""
        if delivery.attempts or delivery.body:
            return None
        if self._rate is not None:
            return ""
        if self._receiver.group_by and delivery.alert_id is not None:
            return group_of(delivery.document, self._receiver.group_by)
        return None


def group_of(document: str, keys: Iterable[str]) -> str:
    """The group of a message: its alert's values for these keys, which are labels or fields such as rule."""
    alert = json.loads(document).get("alert", {})
    labels = alert.get("labels", {})
    return json.dumps([labels.get(key, alert.get(key)) for key in keys])
