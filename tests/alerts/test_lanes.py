from hypothesis import given
from hypothesis import strategies as st

from alerts.lanes import Lanes


def test_a_lane_gives_its_next_only_when_the_head_is_done() -> None:
    lanes: Lanes[int] = Lanes()
    for item in (1, 2):
        lanes.add("a", item, 0.0)
    lanes.add("b", 3, 0.0)
    assert lanes.take(0.0) == ("a", 1)
    assert lanes.take(0.0) == ("b", 3)
    assert lanes.take(0.0) is None
    lanes.finish("a", 0.0)
    assert lanes.take(0.0) == ("a", 2)
    assert len(lanes) == 2


def test_a_head_that_waits_holds_its_own_lane_only() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.add("a", 1, 0.0)
    lanes.add("a", 2, 0.0)
    lanes.add("b", 3, 5.0)
    assert lanes.take(0.0) == ("a", 1)
    lanes.put_back("a", 10, 30.0)
    assert lanes.next_due_s() == 5.0
    assert lanes.take(10.0) == ("b", 3)
    assert lanes.take(29.0) is None
    assert lanes.take(30.0) == ("a", 10)


def test_what_is_merged_stands_for_all_that_waited() -> None:
    lanes: Lanes[int] = Lanes()
    for item in (1, 2, 3):
        lanes.add("a", item, 0.0)
    lanes.take(0.0)
    assert lanes.waiting("a") == [1, 2, 3]
    lanes.merge("a", 100, 3)
    assert len(lanes) == 1
    lanes.finish("a", 0.0)
    assert len(lanes) == 0
    assert lanes.next_due_s() is None


def test_what_was_out_when_its_taker_died_is_due_again() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.add("a", 1, 0.0)
    lanes.take(0.0)
    lanes.recover(7.0)
    assert lanes.take(7.0) == ("a", 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_every_lane_comes_out_complete_and_in_order(moves: list[tuple[str, bool]]) -> None:
    lanes: Lanes[int] = Lanes()
    sent: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    now = 0.0
    for number, (key, fails) in enumerate(moves):
        lanes.add(key, number, now)
        now += 1
        taken = lanes.take(now)
        if taken is not None and fails:
            lanes.put_back(*taken, now + 2)
        elif taken is not None:
            sent[taken[0]].append(taken[1])
            lanes.finish(taken[0], now)
    now += 10
    while (taken := lanes.take(now)) is not None:
        sent[taken[0]].append(taken[1])
        lanes.finish(taken[0], now)
    assert sent == {k: [n for n, (key, _) in enumerate(moves) if key == k] for k in "abc"}
    assert len(lanes) == 0


def test_what_was_out_when_all_was_cleared_comes_back_to_nothing() -> None:
    lanes: Lanes[int] = Lanes()
    lanes.add("a", 1, 0.0)
    lanes.add("b", 2, 0.0)
    lanes.take(0.0)
    lanes.take(0.0)
    lanes.clear()
    lanes.put_back("a", 1, 0.0)
    lanes.finish("b", 0.0)
    assert len(lanes) == 0
    assert lanes.take(9.0) is None
