"""A cursor says what it was given, and no other text is one."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.store.page import FOREIGN_CURSOR, decode_cursor, encode_cursor

moments = st.datetimes(timezones=st.just(UTC))
printable = st.text(st.characters(exclude_categories=("C", "Z"))).filter(str.isprintable)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@given(moments, printable)
def test_a_cursor_says_the_name_it_was_given(at: datetime, name: str) -> None:
    assert decode_cursor(encode_cursor(at, name), str) == (at, name)


@given(moments, st.integers())
def test_a_cursor_says_the_number_it_was_given(at: datetime, number: int) -> None:
    assert decode_cursor(encode_cursor(at, number), int) == (at, number)


def test_a_cursor_of_another_zone_is_the_same() -> None:
    assert encode_cursor(AT.astimezone(timezone(timedelta(hours=8))), 1) == encode_cursor(AT, 1)


@pytest.mark.parametrize("end", ["", "=", "=="])
def test_a_cursor_may_come_back_with_its_padding(end: str) -> None:
    assert decode_cursor(encode_cursor(AT, "a") + end, str) == (AT, "a")


@given(st.text() | st.binary().map(lambda some: urlsafe_b64encode(some).decode()))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=FOREIGN_CURSOR):
        decode_cursor(text, str)


@pytest.mark.parametrize(
    "cursor",
    [
        encoded("2026-01-01T00:00:00|1"),
        encoded("2026-01-01T00:00:00Z|1"),
        encoded("2026-01-01T00:00:00+00:00|01"),
        encoded("2026-01-01T00:00:00+00:00|1_0"),
        encoded("2026-01-01T00:00:00+00:00|\N{ARABIC-INDIC DIGIT ONE}"),
        encoded("2026-01-01T00:00:00+00:00|" + "9" * 5000),
        encoded("2026-01-01T00:00:00+00:00|"),
        encoded("2026-01-01T00:00:00+00:00"),
        "!" + encode_cursor(AT, 1),
    ],
)
def test_a_text_like_a_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match=FOREIGN_CURSOR):
        decode_cursor(cursor, int)


def test_a_name_that_no_database_takes_is_refused() -> None:
    with pytest.raises(ValueError, match=FOREIGN_CURSOR):
        decode_cursor(encode_cursor(AT, "x\0"), str)
