"""The equipment view: its columns, the SQL that reads it, the meaning of its status codes, and its cells parsed."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from alerts.model.category import Category

if TYPE_CHECKING:
    from hub.oracle.connection import Rows  # its names and tuples; the driver is not needed here

STATUS_COLUMNS = (
    "RESOURCEID",
    "EQUIPMENTID",
    "OBJECTCATEGORY",
    "EQUIPMENTASSETSSTATUS",
    "EQUIPMENTASSETSSTATUSREASON",
)
JOB_COLUMNS = (
    *("JOBORDER", "JOBMODEL", "JOBSTAGE", "JOBID", "JOBSTATUS", "CREATEDATE", "CREATEUSERNAME", "CREATEUSER"),
    *("TECHNICIANUSERNAME", "TECHNICIANUSER", "SYMPTOMCODE", "CAUSECODE", "REPAIRCODE"),
)
LOT_COLUMNS = (
    *("RUNCARDLOTID", "Package", "PACKAGE_LF", "Function", "TYPE", "BOP", "WAFERLOTID", "WAFERPN"),
    *("WAFERLOTID_PREFIX", "SPEC", "LFOPTIONID", "WIREDESCRIPTION", "WAFERMIL"),
    *("LOTTRACKINQTY_PCS", "LOTTRACKINTIME", "LOTTRACKINEMPLOYEE"),
)
COLUMNS = STATUS_COLUMNS + JOB_COLUMNS + LOT_COLUMNS
"""The 34 columns in view order, spelt as the view spells them: two are in mixed case and must be quoted in SQL."""

TIME_COLUMNS = ("LOTTRACKINTIME", "CREATEDATE")
_DATES_LAST = (*(name for name in COLUMNS if name not in TIME_COLUMNS), *TIME_COLUMNS)
QUANTITY_COLUMN = "LOTTRACKINQTY_PCS"


MOST = 2**53
"""The largest quantity: JSON readers round above it, and no machine holds so many pieces."""


STATUS_CATEGORY = {
    "UDT": Category.DOWN,
    "SDT": Category.DOWN,
    "設備-LOST": Category.INACTIVE,
    "SCRAP": Category.INACTIVE,
    "EGT": Category.ENGINEERING,
    "NST": Category.NOT_SCHEDULED,
    "SBY": Category.STANDBY,
    "設備-RUN": Category.PRODUCTIVE,
    "PRD": Category.PRODUCTIVE,
}
"""By status code, in the order in which a status is chosen when the rows of a machine disagree;
codes not listed come last."""


def category_of(status: str | None) -> Category:
    """The category of a stripped code; OTHER when it is unknown or None."""
    return STATUS_CATEGORY.get(status or "", Category.OTHER)


class ViewChanged(Exception):
    """The view no longer has the columns that the hub reads."""


_OBJECT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_$#]*(\.[A-Za-z][A-Za-z0-9_$#]*)?")


def select_sql(view: str, drop: Collection[str] = ()) -> str:
    """The statement that reads the whole view, without the columns in `drop`, in a stable order.

    Dates come last: a driver that cannot decode a date may lose the cells after it.
    """
    if not _OBJECT_NAME.fullmatch(view):
        raise ValueError(f"{view!r} is not the name of a view, such as OWNER.VIEW")
    columns = ", ".join(f'"{name}"' for name in _DATES_LAST if name not in drop)
    return f'SELECT {columns} FROM {view} ORDER BY "RESOURCEID", "JOBID", "RUNCARDLOTID"'


Row = dict[str, Any]
"""One clean row: every one of the 34 columns upper-cased; str, int, float, aware UTC datetime or None."""


@dataclass(slots=True)
class BadCells:
    """Numbers of cells that could not be parsed, and are None; texts keep what could be decoded."""

    times: int = 0
    quantities: int = 0
    texts: int = 0  # with U+FFFD for bytes that are no character


def parse_rows(result: "Rows", zone: tzinfo, drop: Collection[str] = ()) -> tuple[list[Row], BadCells]:
    """Parsed rows by column name. Dates without a zone are in `zone`; columns in `drop` become None.

    Raises `ViewChanged` when a column is missing.
    """
    index_of = {name: index for index, name in enumerate(result.columns)}
    missing = [name for name in COLUMNS if name not in index_of and name not in drop]
    if missing:
        raise ViewChanged(f"the view has no column {', '.join(missing)}")
    bad = BadCells(
        sum(result.unreadable.get(name, 0) for name in TIME_COLUMNS), result.unreadable.get(QUANTITY_COLUMN, 0)
    )
    plan = [(name.upper(), None if name in drop else index_of[name]) for name in COLUMNS]
    return [_row(cells, plan, zone, bad) for cells in result.rows], bad


def _row(cells: tuple[Any, ...], plan: Iterable[tuple[str, int | None]], zone: tzinfo, bad: BadCells) -> Row:
    row: Row = {}
    for name, index in plan:
        value = None if index is None else _blank_to_none(cells[index])
        if value is not None:
            if name in TIME_COLUMNS:
                value = _time(value, zone, bad)
            elif name == QUANTITY_COLUMN:
                value = _quantity(value, bad)
            else:
                value = _text(value, bad)
        row[name] = value
    return row


def _blank_to_none(value: Any) -> Any:
    if isinstance(value, str):
        value = value.strip()
        return None if not value or value == "NaT" else value
    if value is None or value != value:  # NaN is the only value that differs from itself
        return None
    return value


def _text(value: Any, bad: BadCells) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    bad.texts += "\N{REPLACEMENT CHARACTER}" in text
    return text


def _time(value: Any, zone: tzinfo, bad: BadCells) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime):
        bad.times += 1
        return None
    try:
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    except (OverflowError, ValueError):
        bad.times += 1
        return None


def _quantity(value: Any, bad: BadCells) -> int | float | None:
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        bad.quantities += 1
        return None
    if not number.is_finite() or abs(number) > MOST:
        bad.quantities += 1
        return None
    return int(number) if number == number.to_integral_value() else float(number)
