"""Messages that were never sent, in the groups that may go as one digest. Pure."""

import json
from collections.abc import Iterable

from alerts.config.rule import Receiver
from alerts.delivery.alert_order import AlertOrder
from alerts.delivery.digest import digest_room
from alerts.delivery.formats import FORMATS
from alerts.delivery.formats.rendering import size_in_digest
from alerts.delivery.turns import Group, Message
from alerts.model.delivery import Delivery

_MOST_KNOWN = 1000


class Groups:
    """The groups of one receiver. With a rate limit there is one, and a digest of it takes what has to wait."""

    def __init__(self, receiver: Receiver, hub: str) -> None:
        """`hub` is the name in digests."""
        self.gathers = bool(receiver.group_by)
        self._receiver = receiver
        self._format = FORMATS[receiver.format]
        self._digest_bytes = digest_room(self._format, hub)
        self._groups: dict[str, Group] = {}
        self._sent_s: dict[str, float] = {}

    def join(self, message: Message) -> Group | None:
        """Put a message into its group; None for one that goes by itself, such as what was sent before."""
        key = self._key(message.delivery)
        if key is None:
            return None
        group = self._groups.get(key)
        if group is None:
            due_s = message.due_s
            if self.gathers:
                due_s += self._receiver.group_wait
                if key in self._sent_s:
                    due_s = max(due_s, self._sent_s[key] + self._receiver.group_interval)
            group = self._groups[key] = Group(key, message.number, due_s, message.is_missed, message.created_at)
        message.group, group.messages[message.delivery.id] = group, message
        return group

    def take(self, group: Group, order: AlertOrder, is_digest: bool, now_s: float) -> list[Message]:
        """Take one message out of a group, or as many as a digest holds, each after those before it.

        What is left in the group is due now.
        """
        found: dict[str, Message] = {}
        most, room = (self._format.digest_items if is_digest else 1), self._digest_bytes
        for id_, message in group.messages.items():
            if any(before not in found for before in order.before(id_, message.alerts)):
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
        group.stamp, group.due_s = 0, now_s
        if not group.messages:
            del self._groups[group.key]
        if self.gathers:
            self._sent_s[group.key] = now_s
            if len(self._sent_s) > _MOST_KNOWN:
                since_s = now_s - self._receiver.group_interval
                self._sent_s = {key: sent_s for key, sent_s in self._sent_s.items() if sent_s > since_s}
        return list(found.values())

    def miss(self) -> None:
        """All that waits in a group counts as missed."""
        for group in self._groups.values():
            group.is_missed = True

    def clear(self) -> None:
        """Remove every group."""
        self._groups.clear()

    def _key(self, delivery: Delivery) -> str | None:
        if delivery.attempts or delivery.body:
            return None
        if self._receiver.rate_limit is not None:
            return ""
        if self.gathers and delivery.alert_id is not None:
            return group_of(delivery.document, self._receiver.group_by)
        return None


def group_of(document: str, keys: Iterable[str]) -> str:
    """The group of a message: its alert's values for these keys, which are labels or fields such as rule."""
    alert = json.loads(document).get("alert", {})
    labels = alert.get("labels", {})
    return json.dumps([labels.get(key, alert.get(key)) for key in keys])
