"""The order of the messages of each alert. A digest is a message of several alerts. Pure."""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence

from alerts.model.delivery import Delivery, Span


class AlertOrder:
    """Keeps the messages of each alert by sequence, in whatever order they are added."""

    def __init__(self) -> None:
        self._messages: dict[str, list[tuple[Span, str]]] = {}

    def add(self, id_: str, alerts: Mapping[str, Span]) -> None:
        """Add a message of these alerts."""
        for alert_id, span in alerts.items():
            insort(self._messages.setdefault(alert_id, []), (span, id_))

    def remove(self, id_: str, alerts: Mapping[str, Span]) -> list[str]:
        """Remove a message; returns those that are the oldest of one of its alerts now."""
        oldest = []
        for alert_id, span in alerts.items():
            messages = self._messages[alert_id]
            del messages[bisect_left(messages, (span, id_))]
            if messages:
                oldest.append(messages[0][1])
            else:
                del self._messages[alert_id]
        return list(dict.fromkeys(oldest))

    def is_oldest(self, id_: str, alerts: Mapping[str, Span]) -> bool:
        """Whether no message of its alerts has to be sent before it."""
        return all(self._messages[alert_id][0][1] == id_ for alert_id in alerts)

    def before(self, id_: str, alerts: Mapping[str, Span]) -> list[str]:
        """The messages right before it, one of each of its alerts."""
        found = []
        for alert_id, span in alerts.items():
            messages = self._messages[alert_id]
            place = bisect_left(messages, (span, id_))
            if place:
                found.append(messages[place - 1][1])
        return found

    def has(self, alert_id: str, sequence: int) -> bool:
        """Whether this message of an alert is here, alone or in a digest."""
        return any(first <= sequence <= last for (first, last), _ in self._messages.get(alert_id, ()))

    def clear(self) -> None:
        """Remove every message."""
        self._messages.clear()


def in_order(deliveries: Sequence[Delivery]) -> Iterator[Delivery]:
    """The same deliveries, each after the earlier ones of its alerts; otherwise as they were."""
    order = AlertOrder()
    alerts = [delivery.alerts for delivery in deliveries]
    places = {delivery.id: place for place, delivery in enumerate(deliveries)}
    for delivery, own in zip(deliveries, alerts, strict=True):
        order.add(delivery.id, own)
    free = [place for id_, place in places.items() if order.is_oldest(id_, alerts[place])]
    while free:
        place = heapq.heappop(free)
        yield deliveries[place]
        for id_ in order.remove(deliveries[place].id, alerts[place]):
            if order.is_oldest(id_, alerts[places[id_]]):
                heapq.heappush(free, places[id_])
