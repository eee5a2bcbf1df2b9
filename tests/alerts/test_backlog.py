from dataclasses import replace
from typing import Any

import pytest

from alerts.backlog import Backlog, Turn, group_of
from alerts.delivery import Delivery
from alerts.rule import Receiver
from tests.alerts.fakes import START


def backlog(**settings: Any) -> Backlog:
    return Backlog(Receiver(name="ops", url="http://x/", **settings))


def delivery(number: int, site: str = "dock") -> Delivery:
    body = f'{{"alert":{{"rule":"r","labels":{{"site":"{site}"}}}}}}'.encode()
    return Delivery(f"d{number}", "ops", "alert.onset", START, body, f"a{number}", 1)


def taken(waiting: Backlog, now_s: float) -> Turn:
    turn = waiting.take(now_s)
    assert turn is not None
    return turn


def test_the_same_delivery_waits_once() -> None:
    waiting = backlog()
    waiting.add(delivery(1), 0.0, START)
    waiting.add(delivery(1), 0.0, START)
    assert len(waiting) == 1


def test_a_group_is_a_lane_of_its_own() -> None:
    waiting = backlog(group_by=("site",), group_wait="10s", group_interval="5m")
    for number, site in enumerate(("dock", "yard", "dock")):
        waiting.add(delivery(number, site), 0.0, START)
    assert waiting.take(9.9) is None
    dock, yard = taken(waiting, 10.0), taken(waiting, 10.0)
    assert [member.id for member in dock.together] == ["d0", "d2"]
    assert yard.together == []
    waiting.finish(yard.lane, yard.delivery, 11.0)
    waiting.add(delivery(4, "yard"), 12.0, START)
    assert waiting.take(309.0) is None
    assert taken(waiting, 310.0).delivery.id == "d4"


def test_the_last_permit_carries_all_that_waits() -> None:
    waiting = backlog(rate_limit="2/min")
    for number in range(4):
        waiting.add(delivery(number), 0.0, START)
    first = taken(waiting, 0.0)
    assert first.together == []
    waiting.finish(first.lane, first.delivery, 0.0)
    rest = taken(waiting, 0.0)
    assert [member.id for member in rest.together] == ["d1", "d2", "d3"]
    digest = Delivery("digest", "ops", "digest", START, b"{}")
    waiting.merge(rest, digest)
    assert len(waiting) == 1
    waiting.finish(rest.lane, digest, 0.0)
    waiting.add(delivery(5), 1.0, START)
    assert waiting.take(1.0) is None
    assert waiting.next_due_s() == 60.0


@pytest.mark.parametrize("settings", [{"rate_limit": "100/min"}, {"group_by": ("site",), "group_wait": "0s"}])
def test_a_message_that_does_not_get_through_holds_up_its_own_alert_only(settings: dict[str, Any]) -> None:
    waiting = backlog(**settings)
    waiting.add(delivery(1), 0.0, START)
    head = taken(waiting, 0.0)
    clear = replace(delivery(1), id="d1-clear", sequence=2)
    for later in (clear, delivery(2)):
        waiting.add(later, 0.0, START)
    waiting.put_off(head.lane, replace(head.delivery, attempts=1), 30.0, 1.0)
    again = replace(delivery(1), id="d1-again", sequence=3)
    waiting.add(again, 2.0, START)
    assert len(waiting) == 4
    other = taken(waiting, 1000.0 if "group_by" in settings else 2.0)
    assert (other.delivery.id, other.together) in [("d2", []), ("d1", [])]
    order = [other.delivery.id]
    waiting.finish(other.lane, other.delivery, 1000.0)
    while (turn := waiting.take(2000.0)) is not None:
        order += [member.id for member in turn.together] or [turn.delivery.id]
        if turn.together:
            waiting.merge(turn, Delivery("digest", "ops", "digest", START, b"{}"))
        waiting.finish(turn.lane, turn.delivery, 2000.0)
    assert [id_ for id_ in order if id_ != "d2"] == ["d1", "d1-clear", "d1-again"]
    assert order.count("d2") == 1
    assert len(waiting) == 0


def test_a_group_is_made_of_labels_and_fields() -> None:
    assert group_of(delivery(1).body, ("site", "rule", "none")) == '["dock", "r", null]'
    assert group_of(b"{}", ("site",)) == "[null]"


def test_what_comes_while_a_digest_is_made_waits_behind_it() -> None:
    waiting = backlog(group_by=("site",), group_wait="10s", group_interval="5m")
    for number in range(2):
        waiting.add(delivery(number), 0.0, START)
    turn = taken(waiting, 10.0)
    waiting.add(delivery(2), 10.0, START)
    digest = Delivery("digest", "ops", "digest", START, b"{}")
    waiting.merge(turn, digest)
    assert len(waiting) == 2
    waiting.finish(turn.lane, digest, 10.0)
    assert taken(waiting, 400.0).delivery.id == "d2"


def test_a_digest_read_back_keeps_its_place_in_its_group_and_goes_as_it_was() -> None:
    waiting = backlog(group_by=("site",), group_wait="10s", group_interval="5m")
    digest = Delivery("digest", "ops", "digest", START, b'{"items":[%b,%b]}' % (delivery(1).body, delivery(2).body))
    waiting.add(delivery(0), 0.0, START)
    waiting.add(digest, 0.0, START)
    waiting.add(delivery(3), 0.0, START)
    first = taken(waiting, 10.0)
    assert (first.delivery.id, first.together) == ("d0", [])
    assert waiting.take(10.0) is None
    waiting.finish(first.lane, first.delivery, 10.0)
    again = taken(waiting, 400.0)
    assert (again.delivery.id, again.together) == ("digest", [])
