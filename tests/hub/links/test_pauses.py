"""How long a meter is left alone after a failure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.links.pauses import Pauses

DAY_S = 86_400.0


def test_the_first_pause_is_exact_and_the_next_double_to_the_cap() -> None:
    pauses = Pauses(60.0)
    assert [pauses.failed(5.0, False, 0.999) for _ in range(7)] == pytest.approx(
        [5, 10, 20, 40, 60, 60, 60], rel=0.01
    )


def test_where_connections_bring_nothing_pauses_grow_to_five_times_the_cap() -> None:
    pauses = Pauses(60.0)
    waits = [pauses.failed(5.0, True, 0.999) for _ in range(10)]
    assert waits == pytest.approx([5, 10, 20, 40, 60, 160, 300, 300, 300, 300], rel=0.02)
    assert max(waits) <= 300


def test_a_session_that_answers_once_does_not_take_the_pauses_back() -> None:
    pauses = Pauses(60.0)
    now_s, waits = 0.0, []
    for _ in range(8):
        pauses.answered(now_s)
        waits.append(pauses.failed(5.0, True, 0.5))
        now_s += waits[-1]
    assert waits == sorted(waits)
    assert waits[-1] > 60


def test_one_failure_is_forgiven_per_good_minute() -> None:
    pauses = Pauses(60.0)
    for _ in range(4):
        pauses.failed(5.0, True, 0.5)
    for second in range(121):
        pauses.answered(float(second))
    pauses.failed(5.0, True, 0.5)
    assert pauses.failures == 3
    for second in range(601):
        pauses.answered(1000.0 + second)
    assert pauses.failed(5.0, True, 0.5) == 5.0


@given(st.floats(0.0, 3600.0), st.integers(0, 2**32 - 1))
def test_sessions_of_any_one_length_are_fewer_than_1500_a_day(good_s: float, seed: int) -> None:
    pauses = Pauses(60.0)
    now_s, sessions = 0.0, 0
    while now_s < DAY_S:
        sessions += 1
        pauses.answered(now_s)
        now_s += good_s
        pauses.answered(now_s)
        now_s += pauses.failed(5.0, True, seed / 2**32)
    assert sessions < 1500
