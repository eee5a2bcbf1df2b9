"""Stored rows as CSV or JSON, a piece at a time, for `hub export`, downloads and pages."""

import csv
import io
import json
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlmodel import Session

from alerts.model.metrics import Metric
from alerts.model.moments import rfc3339
from alerts.store.page import Page
from hub.database.database import Database
from hub.store.history import LEVELS_ONLY, Item, columns, history
from hub.store.meter_settings import settings_at, settings_of
from hub.store.tables import StoredMeterSetting

_ROWS_PER_PIECE = 2_000
_ITEMS_PER_PIECE = 1_000
_LABELS = ("lp_label", "leq_label")


class ExportedUnit(NamedTuple):
    """A unit whose rows are written. `quantities` are its own; without any it is a sound level meter.

    `symbols` says how its quantities are called while the instrument's settings are as given.
    """

    id: str
    name: str
    symbols: Callable[[Mapping[str, str | None]], Mapping[str, str]]
    quantities: Mapping[str, Metric] = LEVELS_ONLY

    @property
    def units(self) -> str:
        """The units of its quantities, such as `temperature °C, wind m/s`; a level is in dB."""
        return ", ".join(f"{name} {metric.unit}" for name, metric in self.quantities.items() if metric.unit)


async def export_rows(
    database: Database,
    units: Sequence[ExportedUnit],
    from_at: datetime,
    to_at: datetime,
    *,
    step_s: float | None = None,
    metrics: Sequence[str] | None = None,
) -> AsyncIterator[str]:
    """Yields CSV text with one header line, unit by unit, each in order of time; columns as in `history`.

    Where units have different quantities the columns are those of all of them, and a cell that is not a unit's own
    is empty. Behind them come what people call the unit; of sound level meters the symbols of Lp and Leq, with the
    weightings the meter is known to have been set to at that time; of others the units of their quantities.

    Each piece is a read of its own, so that an export of years holds up nobody. Raises what `history` raises.
    """
    table = _Table(units, step_s, metrics)
    has_header = False
    for unit in units:
        part = partial(
            history, unit_id=unit.id, from_at=from_at, to_at=to_at, step_s=step_s, metrics=metrics,
            quantities=unit.quantities, limit=_ROWS_PER_PIECE,
        )  # fmt: skip
        cursor: str | None = None
        while True:
            read = partial(_piece, part=part, unit=unit, table=table, cursor=cursor, with_header=not has_header)
            text, cursor = await database.query(read, continues=has_header or cursor is not None)
            if text:
                yield text
                has_header = True
            if cursor is None:
                break
    if not has_header:
        yield ",".join(table.header) + "\n"


async def export_page(
    database: Database,
    unit_id: str,
    from_at: datetime,
    to_at: datetime,
    *,
    step_s: float | None = None,
    metrics: Sequence[str] | None = None,
    quantities: Mapping[str, Metric] = LEVELS_ONLY,
    limit: int = 1000,
    cursor: str | None = None,
) -> AsyncIterator[str]:
    """Yields the JSON `{"items": […], "next_cursor": …}` of a page of `history`. Raises what `history` raises."""
    part = partial(
        history,
        unit_id=unit_id,
        from_at=from_at,
        to_at=to_at,
        step_s=step_s,
        metrics=metrics,
        quantities=quantities,
    )
    opening = '{"items":['
    while True:
        read = partial(_items, part=part, limit=min(limit, _ITEMS_PER_PIECE), cursor=cursor)
        text, count, cursor = await database.query(read, continues=opening == ",")
        yield opening + text
        opening = ","
        limit -= count
        if cursor is None or limit <= 0:
            break
    yield f'],"next_cursor":{json.dumps(cursor)}}}'


def _items(
    session: Session, part: Callable[..., Page[Item]], limit: int, cursor: str | None
) -> tuple[str, int, str | None]:
    page = part(session, limit=limit, cursor=cursor)
    items = ({**item, "at": rfc3339(item["at"])} for item in page.items)
    text = ",".join(json.dumps(item, separators=(",", ":"), allow_nan=False) for item in items)
    return text, len(page.items), page.next_cursor


class _Table:
    """The columns of a CSV of these units, and the lines of their items. Raises what `columns` raises."""

    def __init__(self, units: Sequence[ExportedUnit], step_s: float | None, metrics: Sequence[str] | None) -> None:
        shapes = {tuple(unit.quantities): unit.quantities for unit in units} or {(): LEVELS_ONLY}
        of_each = [columns(step_s, metrics, quantities) for quantities in shapes.values()]
        self._columns = list(dict.fromkeys(name for names in of_each for name in names))
        self._is_uniform = len(shapes) == 1
        self._has_labels = () in shapes
        self._has_units = any(shapes)
        captions = ["name", *(_LABELS if self._has_labels else ()), *(["units"] if self._has_units else ())]
        self.header = ["unit_id", *self._columns, *captions]

    def lines(
        self, unit: ExportedUnit, items: Sequence[dict[str, Any]], symbols: "_Symbols"
    ) -> Iterator[list[Any]]:
        """One list of cells per item, as the header has them; an unknown value is empty, times end in Z."""
        units = [unit.units] if self._has_units else []
        for item in items:
            values = item.values() if self._is_uniform else (item.get(name) for name in self._columns)
            labels = symbols.at(item["at"]) if self._has_labels else ()
            yield [unit.id, *map(_cell, values), unit.name, *labels, *units]


def _piece(
    session: Session,
    part: Callable[..., Page[Item]],
    unit: ExportedUnit,
    table: _Table,
    cursor: str | None,
    with_header: bool,
) -> tuple[str, str | None]:
    """Made into text in the thread that reads, so that rows do not wait in memory until somebody has read them."""
    page = part(session, cursor=cursor)
    symbols = _Symbols(unit, settings_of(session, unit.id))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if with_header and page.items:
        writer.writerow(table.header)
    writer.writerows(table.lines(unit, page.items, symbols))
    return text.getvalue(), page.next_cursor


class _Symbols:
    """The symbols of Lp and Leq at a time, found once for each time the settings changed; empty of other units."""

    def __init__(self, unit: ExportedUnit, settings: Sequence[StoredMeterSetting]) -> None:
        self._unit = unit
        self._settings = settings
        self._changes = sorted({row.since_at for row in settings})
        self._known: dict[int, tuple[str, str]] = {}

    def at(self, at: datetime) -> tuple[str, str]:
        place = bisect_right(self._changes, at)
        if place not in self._known:
            found = self._unit.symbols(settings_at(self._settings, at))
            self._known[place] = found.get("lp", ""), found.get("leq", "")
        return self._known[place]


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return " ".join(value) if isinstance(value, list) else value
