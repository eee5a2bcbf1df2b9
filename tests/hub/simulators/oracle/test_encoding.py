"""Tests of Oracle's value formats."""

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.simulators.oracle import encoding
from hub.simulators.oracle.encoding import Incomplete, Reader


@given(st.integers(-(2**63), 2**64 - 1))
def test_a_universal_integer_comes_back(value: int) -> None:
    assert Reader(encoding.uint(value)).uint() == value


@given(st.binary(max_size=80_000))
def test_bytes_behind_a_length_come_back(raw: bytes) -> None:
    assert Reader(encoding.blob(raw)).blob() == raw


@given(st.decimals(min_value=-(10**30), max_value=10**30, places=8))
def test_a_number_comes_back(value: Decimal) -> None:
    assert encoding.parse_number(encoding.number(value)) == value


@pytest.mark.parametrize(
    ("value", "raw"),
    [(0, "80"), (1, "c102"), (100, "c202"), (-5, "3e6066"), (123, "c20218"), (Decimal("0.05"), "c006")],
)
def test_numbers_as_the_database_writes_them(value: int | Decimal, raw: str) -> None:
    assert encoding.number(value).hex() == raw


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - no zone here
def test_a_timestamp_comes_back(value: datetime) -> None:
    assert encoding.parse_moment(encoding.moment(value, fraction=True)) == value


def test_a_message_that_goes_on_in_the_next_packet_is_incomplete() -> None:
    whole = encoding.blob(b"x" * 1000)
    for cut in (0, 1, 3, 500, len(whole) - 1):
        with pytest.raises(Incomplete):
            Reader(whole[:cut]).blob()
