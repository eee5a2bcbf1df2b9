"""Offers deliveries to the dispatchers of their receivers."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from alerts.model.delivery import Delivery, Notice


class Offers(Protocol):
    """The methods of a dispatcher that announcing calls."""

    def offer(self, deliveries: Iterable[Delivery], persisted: bool = True) -> None: ...
    def look_again(self) -> None: ...


Dispatchers = Mapping[str, Offers]
"""The running dispatchers, by the name of their receiver."""


def announce(dispatchers: Dispatchers, deliveries: Iterable[Delivery], persisted: bool) -> None:
    """Offer each dispatcher its deliveries, in the order given; those of a receiver without one stay in SQL."""
    by_receiver: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        by_receiver.setdefault(delivery.receiver, []).append(delivery)
    for name, some in by_receiver.items():
        if name in dispatchers:
            dispatchers[name].offer(some, persisted)


def reread_queues(dispatchers: Dispatchers, notices: Iterable[Notice]) -> None:
    """Have dispatchers read SQL, which now holds notices that were announced from memory.

    A dispatcher may have dropped such a notice, or have been started after it.
    """
    for name in {name for notice in notices for name in notice.receivers}:
        if name in dispatchers:
            dispatchers[name].look_again()
