"""Times as RFC 3339 text and back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.model.moments import known_moment, rfc3339

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.builds(datetime.fromtimestamp, st.integers(0, 7_000_000_000_000_000).map(lambda us: us / 1e6), zones)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 3, 18, 22, 14, 7, 120_999, UTC), "2026-03-18T22:14:07.120Z"),
        (datetime(2026, 3, 18, tzinfo=UTC), "2026-03-18T00:00:00.000Z"),
        (datetime(2026, 3, 18, 1, tzinfo=timezone(timedelta(hours=8))), "2026-03-17T17:00:00.000Z"),
        (None, None),
    ],
)
def test_a_time_is_written_in_utc_with_its_milliseconds(at: datetime | None, text: str | None) -> None:
    assert rfc3339(at) == text


@given(moments)
def test_what_is_written_is_read_again_to_the_millisecond(at: datetime) -> None:
    assert timedelta(0) <= at - known_moment(rfc3339(at)) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "isoformat"),
        ("yesterday", "isoformat"),
        ("2026-03-18T22:14:07", "offset or Z"),
        ("0001-01-01T00:00:00+14:00", "years 1 to 9999"),
    ],
)
def test_a_text_that_is_no_moment_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        known_moment(text)
