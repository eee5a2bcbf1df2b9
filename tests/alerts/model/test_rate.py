import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.rate import Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"), [("10/min", (10, 60.0)), ("1/s", (1, 1.0)), ("5/m", (5, 60.0)), ("100 / h", (100, 3600.0))]
)
def test_a_rate_is_a_count_and_a_period(text: str, rate: tuple[int, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["10", "0/min", "ten/min", "10/day", ""])
def test_what_is_no_rate_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="such as 1/s"):
        parse_rate(text)


@given(st.lists(st.floats(0, 30), min_size=1, max_size=50))
def test_no_window_ever_holds_more_than_the_count(gaps: list[float]) -> None:
    rate, now, sent = Rate(3, 60.0), 0.0, []
    for gap in gaps:
        now = max(now + gap, rate.free_at_s(now + gap))
        assert rate.left(now) > 0
        rate.spend(now)
        sent.append(now)
    assert all(later - earlier >= 60.0 - 1e-9 for earlier, later in zip(sent, sent[3:], strict=False))
