"""Rows go into few statements, all of them and in order."""

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine.default import DefaultDialect

from alerts.store.statements import MOST_ROWS, in_parts, value_lists


@given(st.lists(st.integers()), st.integers(1, 7))
def test_parts_are_the_whole_in_order_and_none_is_too_long(values: list[int], most: int) -> None:
    parts = list(in_parts(values, most))
    assert list(chain.from_iterable(parts)) == values
    assert all(0 < len(part) <= most for part in parts)


def test_a_statement_has_no_more_rows_than_it_may() -> None:
    values = list(range(2 * (MOST_ROWS + 1)))
    (first, many), (last, few) = value_lists(DefaultDialect(paramstyle="qmark"), values, 2)
    assert (first.count("(?,?)"), last) == (MOST_ROWS, "VALUES (?,?)")
    assert [*many, *few] == values


def test_a_place_is_marked_as_the_driver_wants_it() -> None:
    assert list(value_lists(DefaultDialect(paramstyle="pyformat"), [1, 2], 1)) == [("VALUES (%s),(%s)", (1, 2))]
