from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.config.rule import Receiver
from alerts.delivery.backlog import Backlog, Turn
from alerts.delivery.digest import digest_of, split
from alerts.delivery.formats.hub import FORMAT as HUB
from alerts.model.delivery import Delivery
from tests.alerts.fakes import START


def backlog(**settings: Any) -> Backlog:
    return Backlog(Receiver(name="ops", url="http://x/", **settings), "h")


def delivery(number: int, site: str = "dock", sequence: int = 1, age_s: float = 0.0) -> Delivery:
    document = f'{{"type":"alert.onset","alert":{{"rule":"r","labels":{{"site":"{site}"}}}}}}'
    id_ = f"d{number}" if sequence == 1 else f"d{number}-{sequence}"
    created_at = START - timedelta(seconds=age_s)
    return Delivery(id_, "ops", "alert.onset", created_at, b"", f"a{number}", sequence, document=document)


def inside(turn: Turn) -> list[Delivery]:
    """What a new digest was made of."""
    return turn.writes[:-1]


def failed(one: Delivery) -> Delivery:
    return replace(one, attempts=one.attempts + 1)


def order(waiting: Backlog, now_s: float, ends_s: float = 1e9) -> list[tuple[float, str]]:
    """What goes out until nothing waits, each delivered at once, and when."""
    found = []
    while (due_s := waiting.next_due_s(now_s)) is not None and due_s <= ends_s:
        now_s = max(now_s, due_s)
        turn = waiting.take(now_s, START)
        if turn is not None:
            found.append((now_s, "+".join(one.id for one in inside(turn)) or turn.delivery.id))
            waiting.finish(turn.delivery, now_s)
            waiting.accepted(now_s)
    return found


def taken(waiting: Backlog, now_s: float) -> Turn:
    turn = waiting.take(now_s, START)
    assert turn is not None
    return turn


def test_the_same_delivery_waits_once() -> None:
    waiting = backlog()
    waiting.add(delivery(1), 0.0, START)
    waiting.add(delivery(1), 0.0, START)
    assert len(waiting) == 1


def test_each_group_gathers_by_itself() -> None:
    waiting = backlog(group_by=("site",), group_wait="10s", group_interval="5m")
    for number, site in enumerate(("dock", "yard", "dock")):
        waiting.add(delivery(number, site), 0.0, START)
    assert waiting.take(9.9, START) is None
    dock, yard = taken(waiting, 10.0), taken(waiting, 10.0)
    assert [member.id for member in inside(dock)] == ["d0", "d2"]
    assert inside(yard) == []
    waiting.finish(yard.delivery, 11.0)
    waiting.add(delivery(4, "yard"), 12.0, START)
    assert waiting.take(309.0, START) is None
    assert taken(waiting, 310.0).delivery.id == "d4"


def test_the_last_permit_carries_all_that_waits() -> None:
    waiting = backlog(rate_limit="2/min")
    for number in range(4):
        waiting.add(delivery(number), 0.0, START)
    first = taken(waiting, 0.0)
    assert inside(first) == []
    waiting.finish(first.delivery, 0.0)
    rest = taken(waiting, 0.0)
    assert [member.id for member in inside(rest)] == ["d1", "d2", "d3"]
    digest = rest.delivery
    assert len(waiting) == 1
    waiting.finish(digest, 0.0)
    waiting.add(delivery(5), 1.0, START)
    assert waiting.take(1.0, START) is None
    assert waiting.next_due_s(1.0) == 60.0


@pytest.mark.parametrize("settings", [{}, {"rate_limit": "100/min"}, {"group_by": ("site",), "group_wait": "0s"}])
def test_a_message_that_does_not_get_through_holds_up_its_own_alert_only(settings: dict[str, Any]) -> None:
    waiting = backlog(**settings)
    waiting.add(delivery(1), 0.0, START)
    head = taken(waiting, 0.0)
    for later in (delivery(1, sequence=2), delivery(2)):
        waiting.add(later, 0.0, START)
    waiting.put_off(failed(head.delivery), 30.0, 1.0, is_outage=False)
    waiting.add(delivery(1, sequence=3), 2.0, START)
    assert len(waiting) == 4
    flat = [one for _, ids in order(waiting, 2.0) for one in ids.split("+")]
    assert flat[0] == "d2" or "group_by" in settings
    assert [one for one in flat if one != "d2"] == ["d1", "d1-2", "d1-3"]
    assert flat.count("d2") == 1
    assert len(waiting) == 0


def test_messages_of_an_alert_go_by_sequence_in_whatever_order_they_come() -> None:
    waiting = backlog()
    for sequence in (3, 1, 2):
        waiting.add(delivery(1, sequence=sequence), 0.0, START)
    assert [one for _, one in order(waiting, 0.0)] == ["d1", "d1-2", "d1-3"]


def test_what_comes_while_a_digest_is_made_waits_behind_it() -> None:
    waiting = backlog(group_by=("site",), group_wait="10s", group_interval="5m")
    for number in range(2):
        waiting.add(delivery(number), 0.0, START)
    turn = taken(waiting, 10.0)
    waiting.add(delivery(2), 10.0, START)
    waiting.add(delivery(1, sequence=2), 10.0, START)
    digest = turn.delivery
    assert len(waiting) == 3
    assert taken(waiting, 400.0).delivery.id == "d2"
    assert waiting.take(400.0, START) is None
    waiting.finish(digest, 400.0)
    assert taken(waiting, 400.0).delivery.id == "d1-2"


def test_a_digest_read_back_goes_as_it_was_and_before_the_later_messages_of_its_alerts() -> None:
    waiting = backlog(group_by=("site",), group_wait="10s", group_interval="5m")
    digest = digest_of([delivery(1), delivery(2)], "h", HUB)
    waiting.add(delivery(2, sequence=2), 0.0, START, is_new=False)
    waiting.add(delivery(3), 0.0, START, is_new=False)
    waiting.add(digest, 0.0, START, is_new=False)
    assert taken(waiting, 0.0).delivery.id == digest.id
    assert taken(waiting, 10.0).delivery.id == "d3"
    assert waiting.take(1000.0, START) is None
    waiting.finish(digest, 1000.0)
    assert taken(waiting, 1000.0).delivery.id == "d2-2"


def test_a_digest_holds_fifty_messages_and_20_kb_at_most() -> None:
    waiting = backlog(group_by=("site",), group_wait="10s")
    for number in range(2 * HUB.digest_items + 1):
        waiting.add(delivery(number), 0.0, START)
    turns = [taken(waiting, 10.0) for _ in range(3)]
    assert [len(inside(turn)) for turn in turns] == [HUB.digest_items, HUB.digest_items, 0]
    assert waiting.take(10.0, START) is None


def test_a_message_longer_than_a_digest_goes_by_itself() -> None:
    waiting = backlog(group_by=("site",), group_wait="10s")
    long = "x" * HUB.digest_bytes
    sizes = [
        delivery(1),
        replace(delivery(2), document=delivery(2).document[:-1] + f',"summary":"{long}"}}'),
        delivery(3),
    ]
    for one in sizes:
        waiting.add(one, 0.0, START)
    assert [ids for _, ids in order(waiting, 10.0)] == ["d1", "d2", "d3"]


def test_the_parts_of_a_digest_take_its_place_and_its_alerts_keep_their_order() -> None:
    waiting = backlog(group_by=("site",), group_wait="0s")
    for number in range(3):
        waiting.add(delivery(number), 0.0, START)
    turn = taken(waiting, 0.0)
    digest = turn.delivery
    waiting.add(delivery(2, sequence=2), 0.0, START)
    parts, marks = split(failed(digest), inside(turn), START, "h", HUB)
    waiting.split(digest, parts, 1.0)
    assert [mark.state for mark in marks] == ["split", "digested", "digested", "pending", "pending"]
    assert [part.type for part in parts] == ["digest", "alert.onset"]
    assert parts[1].id == "d2"
    assert [one for _, one in order(waiting, 1.0)] == [parts[0].id, "d2", "d2-2"]


def test_parts_go_before_what_follows_even_when_both_are_refused_again() -> None:
    waiting = backlog(group_by=("site",), group_wait="0s", group_interval="0s")
    for number in range(2):
        waiting.add(delivery(number), 0.0, START)
    turn = taken(waiting, 0.0)
    digest = turn.delivery
    parts, _ = split(failed(digest), inside(turn), START, "h", HUB)
    waiting.split(digest, parts, 0.0)
    waiting.add(delivery(1, sequence=2), 0.0, START)
    waiting.add(delivery(3), 0.0, START)
    first = taken(waiting, 0.0)
    assert first.delivery.id == "d3"
    for _ in range(2):
        one = taken(waiting, 1.0 + _)
        waiting.put_off(failed(one.delivery), 500.0, 2.0, is_outage=False)
    assert waiting.take(400.0, START) is None
    assert [one for _, one in order(waiting, 400.0)] == ["d0", "d1", "d1-2"]


def test_nothing_goes_while_the_receiver_wants_nothing_then_one_then_the_rest_at_the_pace_of_drain() -> None:
    waiting = backlog()
    for number in range(5):
        waiting.add(delivery(number, age_s=number), 0.0, START)
    out = [taken(waiting, 0.0).delivery for _ in range(2)]
    until_s = waiting.pause(out[0], 20.0, 1.0, 0.0)
    assert until_s == 21.0
    for one in out:
        waiting.put_off(failed(one), until_s, 1.0)
    waiting.add(delivery(9, age_s=-5), 2.0, START)
    assert waiting.take(20.9, START) is None
    assert waiting.next_due_s(2.0) == 21.0
    probe = taken(waiting, 21.0)
    assert probe.delivery.id == "d4"
    assert waiting.take(30.0, START) is None
    assert waiting.next_due_s(30.0) is None
    waiting.finish(probe.delivery, 30.0)
    waiting.accepted(30.0)
    new = delivery(10)
    waiting.add(new, 30.0, START)
    times, ids = zip(*order(waiting, 30.0), strict=True)
    assert ids == ("d10", "d3", "d2", "d1", "d0", "d9")
    assert times == pytest.approx((30.0, 30.0, 30.05, 30.1, 30.15, 30.2))


def test_a_probe_that_is_told_to_wait_begins_another_pause_and_its_companions_do_not_count() -> None:
    waiting = backlog()
    for number in range(9):
        waiting.add(delivery(number), 0.0, START)
    out = [taken(waiting, 0.0).delivery for _ in range(8)]
    pauses = [waiting.pause(one, None, 1.0, 0.0) for one in out]
    assert pauses == [6.0] * 8
    for one in out:
        waiting.put_off(failed(one), 6.0, 1.0)
    probe = taken(waiting, 6.0)
    assert waiting.pause(probe.delivery, None, 6.0, 0.0) == 16.0


def test_what_failed_is_tried_as_soon_as_another_gets_through_but_ever_later() -> None:
    waiting = backlog()
    waiting.add(delivery(1), 0.0, START)
    poison, now_s, tried = delivery(1), 0.0, []
    while now_s < 3600.0:
        if waiting.take(now_s, START) is not None:
            tried.append(now_s)
            poison = failed(poison)
            waiting.put_off(poison, now_s + 36_000.0, now_s)
        waiting.accepted(now_s)  # another alert's message, every second
        now_s += 1.0
    assert tried == [0, 5, 15, 35, 75, 155, 315, 635, 1275, 2555]


def test_what_was_read_from_sql_is_tried_once_another_gets_through() -> None:
    waiting = backlog()
    put_off = replace(delivery(1), attempts=9, next_at=START + timedelta(hours=10))
    waiting.add(put_off, 0.0, START, is_new=False)
    assert waiting.next_due_s(0.0) == 36_000.0
    waiting.accepted(100.0)
    assert taken(waiting, 100.0).delivery.id == "d1"


def test_what_was_out_when_its_taker_died_is_due_again() -> None:
    waiting = backlog(group_by=("site",), group_wait="0s")
    for number in range(3):
        waiting.add(delivery(number), 0.0, START)
    digest = taken(waiting, 0.0).delivery
    waiting.add(delivery(2, sequence=2), 1.0, START)
    waiting.restart(7.0)
    assert waiting.out == 0
    assert [ids for _, ids in order(waiting, 7.0)] == [digest.id, "d2-2"]


def test_what_waits_is_dropped_and_what_is_out_stays_before_the_later_ones_of_its_alerts() -> None:
    waiting = backlog(group_by=("site",), group_wait="0s", group_interval="0s")
    for number in range(2):
        waiting.add(delivery(number), 0.0, START)
    digest = taken(waiting, 0.0).delivery
    waiting.add(delivery(1, sequence=2), 0.0, START)
    waiting.add(delivery(3), 0.0, START)
    waiting.add(replace(delivery(4), attempts=1, next_at=START + timedelta(hours=1)), 0.0, START)
    assert (len(waiting), waiting.weight, waiting.out) == (4, 5, 1)
    waiting.drop_waiting()
    assert (len(waiting), waiting.weight, waiting.out) == (1, 2, 1)
    waiting.add(delivery(1, sequence=2), 1.0, START, is_new=False)
    assert waiting.take(1e6, START) is None
    waiting.finish(digest, 1e6)
    assert taken(waiting, 1e6).delivery.id == "d1-2"


def test_a_message_that_is_dropped_lets_the_later_ones_of_its_alert_go() -> None:
    waiting = backlog()
    waiting.add(delivery(1), 0.0, START)
    out = taken(waiting, 0.0).delivery
    waiting.drop(out, 0.0)
    assert (len(waiting), waiting.out) == (0, 0)
    assert not waiting.has_predecessor(delivery(1, sequence=2))


ANSWERS = st.sampled_from(["ok", "ok", "refused", "failed", "wait"])
SETTINGS = st.sampled_from([{}, {"rate_limit": "5/s"}, {"group_by": ["site"], "group_wait": "0s"}])


@given(
    settings=SETTINGS,
    arrivals=st.lists(st.integers(0, 4), min_size=1, max_size=25),
    answers=st.lists(ANSWERS, max_size=60),
    data=st.data(),
)
def test_every_alert_arrives_complete_and_in_order_whatever_is_answered(
    settings: dict[str, Any], arrivals: list[int], answers: list[str], data: st.DataObject
) -> None:
    waiting, now_s = backlog(**settings), 0.0
    told: dict[str, list[int]] = {f"a{number}": [] for number in range(5)}
    given_: dict[str, list[int]] = {key: [] for key in told}
    out: list[tuple[Delivery, list[Delivery]]] = []
    members: dict[str, list[Delivery]] = {}

    def answer(kind: str) -> None:
        sent, own = out.pop(data.draw(st.integers(0, len(out) - 1)) if len(out) > 1 else 0)
        if kind == "ok":
            for one in own:
                told[one.alert_id or ""].append(one.sequence)
            waiting.finish(sent, now_s)
            waiting.accepted(now_s)
        elif kind == "refused" and sent.type == "digest":
            parts, _ = split(failed(sent), own, START, "h", HUB)
            for part in parts:
                members[part.id] = [one for one in own if (one.alert_id, one.sequence) in part.members]
            waiting.split(sent, parts, now_s)
        else:
            until_s = waiting.pause(sent, 2.0, now_s, 0.0) if kind == "wait" else now_s + 3.0
            waiting.put_off(failed(sent), until_s, now_s, is_outage=kind == "failed")

    def take() -> None:
        turn = waiting.take(now_s, START)
        if turn is None:
            return
        sent, own = turn.delivery, inside(turn) or members.get(turn.delivery.id) or [turn.delivery]
        members[sent.id] = own
        alerts_out = [alert for one, _ in out for alert in one.alerts]
        assert not set(sent.alerts) & set(alerts_out)
        out.append((sent, own))

    for number in arrivals:
        key = f"a{number}"
        given_[key].append(len(given_[key]) + 1)
        waiting.add(delivery(number, sequence=given_[key][-1]), now_s, START)
        if data.draw(st.booleans()):
            now_s += 1.0
            take()
        if out and answers and data.draw(st.booleans()):
            answer(answers.pop())
    while len(waiting):
        due_s = waiting.next_due_s(now_s)
        if due_s is None or len(out) == 8:
            assert out, "something waits and will never be due"
            answer(answers.pop() if answers else "ok")
            continue
        now_s = max(now_s, due_s)
        before = len(out)
        take()
        if len(out) == before:
            now_s += 0.01
    assert told == given_
    assert waiting.next_due_s(now_s) is None
