"""Which messages may go to a receiver: of each alert the oldest. A digest is a message of several alerts. Pure."""

from bisect import bisect_left, insort
from collections.abc import Mapping

Span = tuple[int, int]
"""The first and the last sequence of an alert that a message carries."""


class AlertOrder:
    """Keeps the messages of each alert by sequence, in whatever order they come."""

    def __init__(self) -> None:
        self._messages: dict[str, list[tuple[Span, str]]] = {}

    def add(self, id_: str, alerts: Mapping[str, Span]) -> None:
        """A message waits, or is out."""
        for alert_id, span in alerts.items():
            insort(self._messages.setdefault(alert_id, []), (span, id_))

    def remove(self, id_: str, alerts: Mapping[str, Span]) -> list[str]:
        """A message is done with; returns those that are the oldest of an alert now."""
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
        """Whether no message of its alerts has to go before it."""
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
        """Forget everything."""
        self._messages.clear()
