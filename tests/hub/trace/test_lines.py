import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hub.oracle.connection import Rows
from hub.trace.domains import DOMAINS, DomainName
from hub.trace.lines import encode_lines, event_rows


def decoded(cell: Any, zone: str = "UTC") -> Any:
    return json.loads(encode_lines(("A",), [(cell,)], ZoneInfo(zone)))["A"]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("abc   ", "abc"),
        ("   ", None),
        (None, None),
        (float("nan"), None),
        (Decimal("3"), 3),
        (Decimal("3.5"), 3.5),
        (12, 12),
        ("設備\n", "設備"),
        ('say "so"\tnow', 'say "so"\tnow'),
    ],
)
def test_a_cell_is_clean_json(cell: Any, value: Any) -> None:
    assert decoded(cell) == value


@pytest.mark.parametrize(
    ("cell", "zone"),
    [
        (float("inf"), "UTC"),
        (Decimal("-Infinity"), "UTC"),
        (datetime(1, 1, 1), "Asia/Taipei"),  # noqa: DTZ001
        (datetime(9999, 12, 31, 23), "America/New_York"),  # noqa: DTZ001
    ],
)
def test_a_cell_that_json_cannot_hold_is_null_and_counted(cell: Any, zone: str) -> None:
    unreadable: Counter[str] = Counter()
    line = encode_lines(("A", "B"), [(cell, 1)], ZoneInfo(zone), unreadable)
    assert json.loads(line) == {"A": None, "B": 1}
    assert unreadable == {"A": 1}


@pytest.mark.parametrize("cell", [b"\x01\xff", timedelta(hours=1), object(), "\ud800"])
def test_a_cell_of_any_other_type_is_some_text(cell: Any) -> None:
    assert isinstance(decoded(cell), str)


def test_a_date_of_the_plant_becomes_utc() -> None:
    assert decoded(datetime(2026, 2, 25, 8), "Asia/Taipei") == "2026-02-25T00:00:00Z"  # noqa: DTZ001
    assert decoded(datetime(2026, 2, 25, 8, tzinfo=UTC), "Asia/Taipei") == "2026-02-25T08:00:00Z"


def test_a_row_is_one_line_whatever_is_in_it() -> None:
    lines = encode_lines(("A", "B"), [("x\ny", 1), ("\u2028", 2)], UTC)
    assert lines.count(b"\n") == 2
    assert [json.loads(line)["B"] for line in lines.splitlines()] == [1, 2]


def job(ids: str | None) -> Rows:
    domain = DOMAINS[DomainName.JOBS]
    return Rows(domain.names, [tuple(ids if name == "CONTAINERIDS" else name for name in domain.names)])


def members(ids: str | None, wanted: set[str]) -> list[str]:
    columns, rows = event_rows(DOMAINS[DomainName.JOBS], job(ids), wanted)
    assert columns[0] == "CONTAINERID"
    return [row[0] for row in rows]


def test_a_job_gives_a_row_for_each_of_its_members_that_was_asked_for() -> None:
    assert members("a1, b2;c3", {"a1", "c3", "d4"}) == ["a1", "c3"]


def test_an_id_inside_a_longer_one_is_no_member() -> None:
    assert members("a10,ba1", {"a1"}) == []


def test_a_job_without_members_or_with_one_twice() -> None:
    assert members(None, {"a1"}) == []
    assert members("a1,a1", {"a1"}) == ["a1"]
