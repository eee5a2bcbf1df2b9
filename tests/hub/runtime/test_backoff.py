from hypothesis import given
from hypothesis import strategies as st

from hub.runtime.backoff import backoff

seconds = st.floats(0.01, 100)


@given(st.integers(1, 10_000), seconds, seconds, st.floats(0, 1, exclude_max=True))
def test_a_delay_lies_between_the_first_and_the_cap(
    attempt: int, first_s: float, cap_s: float, roll: float
) -> None:
    delay = backoff(attempt, first_s, cap_s, roll)
    assert min(first_s, cap_s) <= delay <= cap_s


@given(seconds, st.floats(0, 1, exclude_max=True))
def test_the_first_delay_is_exact(first_s: float, roll: float) -> None:
    assert backoff(1, first_s, 1000.0, roll) == first_s


def test_delays_double_up_to_the_cap() -> None:
    almost_one = 1 - 2**-53
    assert [round(backoff(n, 5, 60, almost_one)) for n in range(1, 7)] == [5, 10, 20, 40, 60, 60]
