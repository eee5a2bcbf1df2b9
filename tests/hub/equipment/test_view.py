from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from alerts.model.category import Category
from hub.config.models import PersonalColumn
from hub.equipment.view import (
    COLUMNS,
    STATUS_CATEGORY,
    ViewChanged,
    category_of,
    parse_rows,
    select_sql,
)
from hub.oracle.connection import Rows
from tests.hub.equipment.plant import view_rows

_PERSONAL = get_args(PersonalColumn)


def test_the_view_has_34_columns_and_nine_status_codes() -> None:
    assert len(COLUMNS) == len(set(COLUMNS)) == 34
    assert len(STATUS_CATEGORY) == 9
    assert len(Category) == 7


@pytest.mark.parametrize(("code", "category"), [("PRD", "PRODUCTIVE"), ("SDT", "DOWN"), ("設備-LOST", "INACTIVE")])
def test_a_known_code_has_its_category(code: str, category: str) -> None:
    assert category_of(code) == category


@pytest.mark.parametrize("code", ["prd", "XYZ", "", None])
def test_any_other_code_is_other(code: str | None) -> None:
    assert category_of(code) is Category.OTHER


def test_the_statement_quotes_mixed_case_names() -> None:
    sql = select_sql("DWH.EQ_V")
    assert '"Package"' in sql
    assert '"Function"' in sql
    assert " FROM DWH.EQ_V " in sql


def test_dropped_columns_are_never_asked_for() -> None:
    sql = select_sql("EQ_V", _PERSONAL)
    assert not any(name in sql for name in ("CREATEUSER", "TECHNICIANUSER", "LOTTRACKINEMPLOYEE"))


@pytest.mark.parametrize("view", ["a;b", "a b", "a.b.c", '"x"', ""])
def test_a_view_that_is_no_name_is_refused(view: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        select_sql(view)


def test_columns_are_found_by_name_in_any_order() -> None:
    backwards = tuple(reversed(COLUMNS))
    [row], _ = parse_rows(Rows(backwards, [tuple(f"v-{name}" for name in backwards)]), UTC)
    assert row["PACKAGE"] == "v-Package"
    assert row["RESOURCEID"] == "v-RESOURCEID"


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ViewChanged, match="Package"):
        parse_rows(Rows(tuple(name for name in COLUMNS if name != "Package"), []), UTC)


def test_a_dropped_column_may_be_missing_and_is_none() -> None:
    kept = tuple(name for name in COLUMNS if name not in _PERSONAL)
    [row], _ = parse_rows(Rows(kept, [("x",) * len(kept)]), UTC, _PERSONAL)
    assert row["CREATEUSER"] is None


def test_a_dropped_column_that_comes_anyway_is_none() -> None:
    [row], _ = parse_rows(view_rows({"RESOURCEID": "a", "CREATEUSER": "Jo"}), UTC, ["CREATEUSER"])
    assert row["CREATEUSER"] is None


def test_char_padding_goes_and_blank_text_is_none() -> None:
    [row], _ = parse_rows(view_rows({"RESOURCEID": "48801 ", "JOBID": "    ", "SPEC": "NaT"}), UTC)
    assert (row["RESOURCEID"], row["JOBID"], row["SPEC"]) == ("48801", None, None)


@pytest.mark.parametrize(
    "cell",
    [datetime(2026, 3, 18, 2, 46, 29), "2026-03-18T02:46:29", datetime(2026, 3, 17, 18, 46, 29, tzinfo=UTC)],  # noqa: DTZ001
)
def test_times_become_utc_from_the_zone_of_the_view(cell: object) -> None:
    [row], bad = parse_rows(view_rows({"RESOURCEID": "a", "LOTTRACKINTIME": cell}), ZoneInfo("Asia/Taipei"))
    assert row["LOTTRACKINTIME"] == datetime(2026, 3, 17, 18, 46, 29, tzinfo=UTC)
    assert bad.times == 0


@pytest.mark.parametrize("cell", ["yesterday", 5, "9999-12-31T23:59:59"])
def test_a_time_that_cannot_be_read_is_none_and_counted(cell: object) -> None:
    [row], bad = parse_rows(view_rows({"RESOURCEID": "a", "CREATEDATE": cell}), ZoneInfo("America/New_York"))
    assert row["CREATEDATE"] is None
    assert bad.times == 1


@pytest.mark.parametrize(
    ("cell", "quantity"),
    [(30784, 30784), (30784.0, 30784), (Decimal("2.50"), 2.5), ("12", 12), (float("nan"), None), (" ", None)],
)
def test_quantities_are_whole_where_they_can_be(cell: object, quantity: object) -> None:
    [row], bad = parse_rows(view_rows({"RESOURCEID": "a", "LOTTRACKINQTY_PCS": cell}), UTC)
    assert row["LOTTRACKINQTY_PCS"] == quantity
    assert type(row["LOTTRACKINQTY_PCS"]) is type(quantity)
    assert bad.quantities == 0


@pytest.mark.parametrize("cell", ["many", float("inf")])
def test_a_quantity_that_is_no_number_is_none_and_counted(cell: object) -> None:
    [row], bad = parse_rows(view_rows({"RESOURCEID": "a", "LOTTRACKINQTY_PCS": cell}), UTC)
    assert row["LOTTRACKINQTY_PCS"] is None
    assert bad.quantities == 1
