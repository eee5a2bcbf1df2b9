from typing import Any

import pytest

from alerts.config.rule import Receiver
from alerts.delivery.alert_order import AlertOrder
from alerts.delivery.groups import Groups, group_of
from alerts.delivery.turns import Message
from alerts.model.delivery import Delivery
from tests.alerts.fakes import START


def message(number: int, site: str = "dock", sequence: int = 1, **fields: Any) -> Message:
    document = f'{{"type":"alert.onset","alert":{{"rule":"r","labels":{{"site":"{site}"}}}}}}'
    fields = {"body": b"", "document": document} | fields
    one = Delivery(f"d{number}-{sequence}", "ops", "x", START, alert_id=f"a{number}", sequence=sequence, **fields)
    return Message(one, one.alerts, number, due_s=0.0, is_missed=False)


def groups(**settings: Any) -> Groups:
    return Groups(Receiver(name="ops", url="http://x/", **settings), "site")


def test_a_group_is_made_of_labels_and_fields() -> None:
    assert group_of(message(1).delivery.document, ("site", "rule", "none")) == '["dock", "r", null]'
    assert group_of("{}", ("site",)) == "[null]"


def test_each_group_waits_for_itself() -> None:
    grouped = groups(group_by=("site",), group_wait="10s")
    dock, yard = grouped.join(message(1)), grouped.join(message(2, "yard"))
    assert dock is not None
    assert yard is not dock
    assert grouped.join(message(3)) is dock
    assert dock.due_s == 10.0
    assert list(dock.messages) == ["d1-1", "d3-1"]


def test_the_next_digest_of_a_group_waits_for_the_interval() -> None:
    grouped, order = groups(group_by=("site",), group_wait="10s", group_interval="5m"), AlertOrder()
    first = grouped.join(message(1))
    assert first is not None
    order.add("d1-1", {"a1": (1, 1)})
    assert [one.delivery.id for one in grouped.take(first, order, True, 10.0)] == ["d1-1"]
    second = grouped.join(message(2))
    assert second is not None
    assert second.due_s == 310.0


def test_a_digest_takes_no_message_without_those_before_it() -> None:
    grouped, order = groups(group_by=("site",)), AlertOrder()
    own = [message(1, sequence=2), message(2), message(3), message(3, sequence=2)]
    for one in own:
        group = grouped.join(one)
        order.add(one.delivery.id, one.alerts)
    order.add("out", {"a1": (1, 1)})
    assert group is not None
    assert [one.delivery.id for one in grouped.take(group, order, True, 30.0)] == ["d2-1", "d3-1", "d3-2"]
    assert list(group.messages) == ["d1-2"]


@pytest.mark.parametrize("fields", [{"attempts": 1}, {"body": b"{}"}])
@pytest.mark.parametrize("settings", [{"rate_limit": "1/s"}, {"group_by": ("site",)}])
def test_what_was_sent_before_goes_by_itself(settings: dict[str, Any], fields: dict[str, Any]) -> None:
    assert groups(**settings).join(message(1, **fields)) is None


def test_without_grouping_and_rate_limit_every_message_goes_by_itself() -> None:
    assert groups().join(message(1)) is None
