import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.line.fields import by_columns, by_pattern, number

WEATHER = r"0R0,Dm=(?P<direction>\d+)D,Sm=(?P<wind>[\d.]+)M,Ta=(?P<temperature>-?[\d.]+)C"


def test_the_groups_of_a_pattern_are_the_quantities() -> None:
    values = by_pattern(WEATHER)("0R0,Dm=231D,Sm=3.4M,Ta=-0.5C,Ua=71.0P")
    assert values == {"direction": 231.0, "wind": 3.4, "temperature": -0.5}


@pytest.mark.parametrize("line", ["", "R0,Dm=231D,Sm=3.4M,Ta=21.5C", "0R0,Dm=231D,Sm=3.4M,Ta=", "0R0,Dm=###"])
def test_a_line_that_the_pattern_does_not_match_from_its_beginning_says_nothing(line: str) -> None:
    assert by_pattern(WEATHER)(line) is None


def test_a_group_that_holds_no_number_is_none_and_the_others_count() -> None:
    form = by_pattern("T=(?P<temperature>[^,]*),H=(?P<humidity>[^,]*)(?:,P=(?P<pressure>.*))?")
    assert form("T=--.-,H=41") == {"temperature": None, "humidity": 41.0, "pressure": None}


@pytest.mark.parametrize("line", ["T=21,5", "T=1e999", "T=1E-3", "T=21x3"])
@pytest.mark.parametrize("pattern", [r"T=(?P<t>\d+)", r"T=(?P<t>[\d.]+)"])
def test_a_pattern_that_ends_within_a_number_reads_none(pattern: str, line: str) -> None:
    assert by_pattern(pattern)(line) == {"t": 21.0 if line == "T=21x3" else None}


def test_a_pattern_may_end_before_a_separator() -> None:
    assert by_pattern(r"(?P<t>[\d.]+)")("21.5,41") == {"t": 21.5}
    assert by_pattern(r"(?P<t>\d\d)(?P<h>\d\d)")("2141") == {"t": 21.0, "h": 41.0}
    assert by_pattern(r"(?P<t>\d\d)(?P<h>\d\d)")("21415") == {"t": 21.0, "h": None}
    assert by_pattern(r"(?P<t>\d+)")("21.5") == {"t": None}


def test_columns_are_the_quantities_in_their_order() -> None:
    form = by_columns(["_", "temperature", "humidity"], ",")
    assert form('"2026-03-18 22:14:07", 21.5,"41"') == {"temperature": 21.5, "humidity": 41.0}
    assert form("1,NAN,41") == {"temperature": None, "humidity": 41.0}


@pytest.mark.parametrize("line", ["21.5", "1,21.5,41,7", ""])
def test_a_line_with_another_number_of_columns_says_nothing(line: str) -> None:
    assert by_columns(["_", "temperature", "humidity"], ",")(line) is None


def test_blanks_may_separate_columns_in_any_number() -> None:
    assert by_columns(["temperature", "humidity"], " ")("  21.5    41 ") == {"temperature": 21.5, "humidity": 41.0}


def test_a_decimal_comma_is_read_where_the_configuration_says_so() -> None:
    assert by_columns(["temperature", "humidity"], ";", ",")("21,5;41") == {"temperature": 21.5, "humidity": 41.0}
    assert number("21,5") is None
    assert number("21.5", ",") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "--.-",
        "nan",
        "inf",
        "-Infinity",
        "1e999",
        "1e31",
        "9" * 40,
        "1_000",
        "0x10",
        "1 2",
        "1.2.3",
        "٣",
        "1e",
    ],
)
def test_what_is_no_number_of_a_usual_size_is_none(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("text", "value"), [("21.5", 21.5), (" +5 ", 5.0), ("-.5", -0.5), ("5.", 5.0), ("1.2e-3", 0.0012), ("007", 7.0)]
)
def test_a_number_is_read_as_it_is_written(text: str, value: float) -> None:
    assert number(text) == value


@given(st.floats(-1e30, 1e30))
def test_every_number_comes_back_as_it_was_written(value: float) -> None:
    assert number(repr(value)) == value
    assert number(repr(value).replace(".", ","), ",") == value


@given(st.text(), st.sampled_from([".", ","]))
def test_any_text_is_a_finite_number_or_none(text: str, decimal: str) -> None:
    value = number(text, "," if decimal == "," else ".")
    assert value is None or math.isfinite(value)


@given(st.text())
def test_any_line_gives_all_quantities_or_nothing(line: str) -> None:
    for form in (
        by_pattern("(?P<a>[^;]*);(?P<b>.*)"),
        by_columns(["a", "_", "b"], ";"),
        by_columns(["a", "b"], " "),
    ):
        values = form(line)
        assert values is None or set(values) == {"a", "b"}
