from hypothesis import given
from hypothesis import strategies as st

from alerts.delivery.retries import early_retry_s, refused_delay_s, retry_delay_s, wait_delay_s


def test_the_schedule_grows_to_ten_hours_and_ends_within_three_days() -> None:
    age, attempts, delays = 0.0, 1, []
    while (delay := retry_delay_s(attempts, age, 0.5)) is not None:
        delays.append(delay)
        age += delay
        attempts += 1
    assert delays[:9] == [5, 30, 120, 600, 1800, 7200, 18000, 36000, 36000]
    assert 62 * 3600 < age <= 72 * 3600


@given(attempts=st.integers(1, 8), chance=st.floats(0, 1, exclude_max=True))
def test_jitter_is_a_tenth(attempts: int, chance: float) -> None:
    middle = retry_delay_s(attempts, 0.0, 0.5)
    delay = retry_delay_s(attempts, 0.0, chance)
    assert middle is not None
    assert delay is not None
    assert 0.9 * middle <= delay <= 1.1 * middle


@given(asked=st.floats(0, 200 * 3600), age=st.floats(0, 72 * 3600 - 1), chance=st.floats(0, 1, exclude_max=True))
def test_retry_after_is_undercut_by_nothing_but_the_end_of_the_lifetime(
    asked: float, age: float, chance: float
) -> None:
    delay = retry_delay_s(1, age, chance, asked)
    left = 72 * 3600 - age
    assert delay is not None
    assert min(max(asked, 1.0), left) <= delay <= min(max(asked, 1.0) * 1.1, left)


def test_a_retry_after_beyond_the_lifetime_is_tried_once_more_at_its_end() -> None:
    assert retry_delay_s(1, 0.0, 0.0, 73 * 3600) == 72 * 3600
    assert retry_delay_s(2, 72 * 3600, 0.0, 73 * 3600) is None
    assert retry_delay_s(2, 72 * 3600 - 0.01, 0.0, 73 * 3600) is None


def test_a_retry_beyond_the_lifetime_is_a_dead_letter() -> None:
    assert retry_delay_s(1, 72 * 3600, 0.0) is None


def test_a_refused_message_is_tried_less_often_and_as_long() -> None:
    age, attempts, delays = 0.0, 1, []
    while (delay := refused_delay_s(attempts, age, 0.5)) is not None:
        delays.append(delay)
        age += delay
        attempts += 1
    assert delays[:4] == [300, 3600, 21600, 43200]
    assert len(delays) < 10
    assert 60 * 3600 < age <= 72 * 3600


@given(asked=st.floats(0.001, 1e9), waits=st.integers(1, 2000), chance=st.floats(0, 1, exclude_max=True))
def test_a_receiver_is_left_alone_as_long_as_it_asks_but_for_an_hour_at_most(
    asked: float, waits: int, chance: float
) -> None:
    assert min(asked, 3600.0) <= wait_delay_s(waits, chance, asked) <= 3600.0


def test_a_receiver_that_names_no_time_is_left_alone_ever_longer() -> None:
    assert [wait_delay_s(waits, 0.0, None) for waits in (1, 2, 3, 7, 5000)] == [5, 10, 20, 300, 300]


def test_an_early_retry_comes_ever_later() -> None:
    assert [early_retry_s(times) for times in (0, 1, 2)] == [5, 10, 20]
    assert early_retry_s(5000) < 100 * 3600
