"""Deliveries go to the dispatcher of their receiver."""

from collections.abc import Iterable

from alerts.commits.announce import announce, reread_queues
from alerts.model.alert import TransitionType
from alerts.model.delivery import Delivery, Notice
from tests.alerts.fakes import START, onset, transition


class Listener:
    """A dispatcher that keeps what it is offered."""

    def __init__(self) -> None:
        self.offered: list[tuple[str, bool]] = []
        self.looks = 0

    def offer(self, deliveries: Iterable[Delivery], persisted: bool = True) -> None:
        self.offered += [(one.id, persisted) for one in deliveries]

    def look_again(self) -> None:
        self.looks += 1


def delivery(id_: str, receiver: str) -> Delivery:
    return Delivery(id_, receiver, "alert.onset", START, b"")


def test_each_dispatcher_is_offered_its_own_deliveries_in_order() -> None:
    ops, site = Listener(), Listener()
    mixed = [delivery("1", "ops"), delivery("2", "site"), delivery("3", "ops"), delivery("4", "gone")]
    announce({"ops": ops, "site": site}, mixed, persisted=False)
    assert ops.offered == [("1", False), ("3", False)]
    assert site.offered == [("2", False)]


def test_the_dispatchers_of_notified_receivers_look_again_once_each() -> None:
    ops, site, boss = Listener(), Listener(), Listener()
    news = transition(TransitionType.ONSET, onset())
    notices = [Notice(news, {}, "", receivers=receivers) for receivers in (("ops", "site"), ("ops",), ("gone",))]
    reread_queues({"ops": ops, "site": site, "boss": boss}, notices)
    assert (ops.looks, site.looks, boss.looks) == (1, 1, 0)
