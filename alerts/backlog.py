"""What waits for one receiver: which may go now, which must wait, and which go together. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from alerts.delivery import Delivery, delivery_id
from alerts.lanes import Lanes
from alerts.rate import Rate, parse_rate
from alerts.rule import Receiver


@dataclass(frozen=True, slots=True)
class Turn:
    """A delivery whose turn it is. With `together` it goes as a digest of all of them."""

    lane: str
    delivery: Delivery
    together: list[Delivery]


class Backlog:
    """Lanes of one alert each; with grouping of one group each; with a rate limit there is one lane for all.

    Of these an alert whose message did not get through goes on in a lane of its own, so that it holds up no other.
    """

    def __init__(self, receiver: Receiver) -> None:
        """Raises ValueError for a rate that cannot be read."""
        self._receiver = receiver
        self._rate = None if receiver.rate_limit is None else Rate(*parse_rate(receiver.rate_limit))
        self._has_queued = False  # something had to wait for the rate
        self._lanes: Lanes[Delivery] = Lanes()
        self._ids: set[str] = set()
        self._group_sent_s: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def __contains__(self, delivery: Delivery) -> bool:
        return delivery.id in self._ids

    def has_predecessor(self, delivery: Delivery) -> bool:
        """Whether the message of its alert that comes right before it is here."""
        before = delivery_id(delivery.alert_id or "", delivery.sequence - 1, delivery.receiver)
        return before in self._ids

    def add(self, delivery: Delivery, now_s: float, now: datetime) -> None:
        """Put a delivery at the end of its lane; one that is here already stays where it is."""
        if delivery in self:
            return
        self._ids.add(delivery.id)
        due_s, lane = now_s, self._lane_of(delivery)
        if delivery.next_at is not None:
            due_s += max(0.0, (delivery.next_at - now).total_seconds())
        elif self._receiver.group_by:
            due_s += self._receiver.group_wait
            if (sent_s := self._group_sent_s.get(lane)) is not None:
                due_s = max(due_s, sent_s + self._receiver.group_interval)
        self._lanes.add(lane, delivery, due_s)

    def take(self, now_s: float) -> Turn | None:
        """The next to be sent, now out; None when none is due."""
        taken = self._lanes.take(now_s)
        if taken is None:
            return None
        lane, delivery = taken
        gathers = bool(self._receiver.group_by)
        if self._rate is not None:
            left = self._rate.left(now_s)
            if left == 0:
                self._lanes.put_back(lane, delivery, self._rate.free_at_s(now_s))
                self._has_queued = True
                return None
            gathers |= left == 1 or self._has_queued
            self._rate.spend(now_s)
            self._has_queued = False
        if not gathers or delivery.attempts:
            return Turn(lane, delivery, [])
        self._group_sent_s[lane] = now_s
        # A digest read back from SQL may have arrived: it goes again as it was.
        members = list(takewhile(lambda member: member.type != "digest", self._lanes.waiting(lane)))
        return Turn(lane, delivery, members if len(members) > 1 else [])

    def merge(self, turn: Turn, digest: Delivery) -> None:
        """A digest takes the place of its members."""
        self._lanes.merge(turn.lane, digest, len(turn.together))
        self._ids.difference_update(member.id for member in turn.together)
        self._ids.add(digest.id)

    def put_off(self, lane: str, delivery: Delivery, due_s: float, now_s: float) -> None:
        """It did not get through. What follows in its alert waits with it; others of its lane do not."""
        own = delivery.alert_id
        if own is None or own == lane:
            self._lanes.put_back(lane, delivery, due_s)
        else:
            self._lanes.part(lane, delivery, own, lambda other: other.alert_id == own, due_s, now_s)

    def finish(self, lane: str, delivery: Delivery, now_s: float) -> None:
        """It is done with, whatever became of it."""
        self._ids.discard(delivery.id)
        self._lanes.finish(lane, now_s)

    def next_due_s(self) -> float | None:
        """When something is due that is not out; None when nothing waits."""
        return self._lanes.next_due_s()

    def recover(self, now_s: float) -> None:
        """Nothing is out any more: those are due again."""
        self._lanes.recover(now_s)

    def clear(self) -> None:
        """Forget everything; what is out may still be finished or put back, to no effect."""
        self._lanes.clear()
        self._ids.clear()

    def _lane_of(self, delivery: Delivery) -> str:
        if delivery.alert_id is not None and delivery.alert_id in self._lanes:
            return delivery.alert_id
        if self._rate is not None:
            return ""
        if self._receiver.group_by and (delivery.alert_id is not None or delivery.type == "digest"):
            return group_of(delivery.body, self._receiver.group_by)
        return delivery.alert_id or delivery.id


def group_of(body: bytes, keys: Iterable[str]) -> str:
    """The group of a message: its alert's values for these keys, which are labels or fields such as rule.

    A digest, read back from SQL, is in the group of what it holds.
    """
    message = json.loads(body)
    while "items" in message:
        message = message["items"][0]
    alert = message.get("alert", {})
    labels = alert.get("labels", {})
    return json.dumps([labels.get(key, alert.get(key)) for key in keys])
