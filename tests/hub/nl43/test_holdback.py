"""How long a reply must stay the only one."""

import pytest

from hub.nl43.holdback import Holdback

NOW = 1000.0


def test_a_meter_not_known_yet_is_given_the_time_any_meter_takes() -> None:
    for gap_s, first_s in ((1.0, 0.4), (0.2, 0.2), (0.0, 0.15)):
        holdback = Holdback(3.0, gap_s)
        for _ in range(3):
            assert holdback.hold_s(NOW) == first_s
            holdback.accepted(0.01)
        assert holdback.hold_s(NOW) == pytest.approx(0.015)


def test_a_reply_is_held_until_the_slowest_of_the_last_ones_would_have_come() -> None:
    holdback = Holdback(3.0)
    for took_s in (0.1, 0.3, 0.1, 0.2):
        holdback.accepted(took_s)
    assert holdback.hold_s(NOW) == pytest.approx(0.45)
    for _ in range(32):
        holdback.accepted(0.1)
    assert holdback.hold_s(NOW) == pytest.approx(0.15)


def test_a_slow_answer_in_ten_holds_up_no_other() -> None:
    holdback = Holdback(3.0)
    for number in range(96):
        holdback.accepted(2.0 if number % 16 == 3 else 0.2)
        assert number < 32 or holdback.hold_s(NOW) == pytest.approx(0.3)


def test_after_something_came_unasked_replies_are_held_for_a_second_and_no_longer_than_they_are_waited_for() -> (
    None
):
    for timeout_s, hold_s in ((3.0, 1.0), (0.5, 0.5)):
        holdback = Holdback(timeout_s)
        for _ in range(3):
            holdback.accepted(0.1)
        holdback.came_unasked(NOW)
        assert holdback.hold_s(NOW + 9.9) == hold_s
        assert holdback.hold_s(NOW + 10.0) == pytest.approx(0.15)
