"""Stored rows as CSV or JSON, a piece at a time, for `hub export`, downloads and pages."""

import csv
import io
import json
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlmodel import Session

from hub.database.database import Database
from hub.nl43.labels import labels
from hub.runtime.clock import rfc3339
from hub.store.history import Page, columns, history
from hub.store.meter_settings import settings_at, settings_of
from hub.store.tables import StoredMeterSetting

_ROWS_PER_PIECE = 2_000
_ITEMS_PER_PIECE = 1_000
_CAPTIONS = ("name", "lp_label", "leq_label")
_NO_NAMES: Mapping[str, str] = {}


async def export_rows(
    database: Database,
    unit_ids: Sequence[str],
    from_at: datetime,
    to_at: datetime,
    *,
    step_s: float | None = None,
    metrics: Sequence[str] | None = None,
    names: Mapping[str, str] = _NO_NAMES,
) -> AsyncIterator[str]:
    """Yields CSV text with one header line, unit by unit, each in order of time; columns as in `history`.

    Behind them come what people call the unit, from `names` by its id, and the symbols of Lp and Leq: with the
    weightings its meter is known to have been set to at that time.

    Each piece is a read of its own, so that an export of years holds up nobody. Raises what `history` raises.
    """
    part = partial(history, from_at=from_at, to_at=to_at, step_s=step_s, metrics=metrics, limit=_ROWS_PER_PIECE)
    has_header = False
    for unit_id in unit_ids:
        cursor: str | None = None
        while True:
            read = partial(
                _piece,
                part=part,
                unit_id=unit_id,
                name=names.get(unit_id, unit_id),
                cursor=cursor,
                with_header=not has_header,
            )
            text, cursor = await database.query(read, continues=has_header or cursor is not None)
            if text:
                yield text
                has_header = True
            if cursor is None:
                break
    if not has_header:
        yield ",".join(["unit_id", *columns(step_s, metrics), *_CAPTIONS]) + "\n"


async def export_page(
    database: Database,
    unit_id: str,
    from_at: datetime,
    to_at: datetime,
    *,
    step_s: float | None = None,
    metrics: Sequence[str] | None = None,
    limit: int = 1000,
    cursor: str | None = None,
) -> AsyncIterator[str]:
    """Yields the JSON `{"items": […], "next_cursor": …}` of a page of `history`. Raises what `history` raises."""
    part = partial(history, unit_id=unit_id, from_at=from_at, to_at=to_at, step_s=step_s, metrics=metrics)
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
    session: Session, part: Callable[..., Page], limit: int, cursor: str | None
) -> tuple[str, int, str | None]:
    page = part(session, limit=limit, cursor=cursor)
    items = ({**item, "at": rfc3339(item["at"])} for item in page.items)
    text = ",".join(json.dumps(item, separators=(",", ":"), allow_nan=False) for item in items)
    return text, len(page.items), page.next_cursor


def _piece(
    session: Session, part: Callable[..., Page], unit_id: str, name: str, cursor: str | None, with_header: bool
) -> tuple[str, str | None]:
    """Made into text in the thread that reads, so that rows do not wait in memory until somebody has read them."""
    page = part(session, unit_id=unit_id, cursor=cursor)
    symbols = _Symbols(settings_of(session, unit_id))
    return _csv_text(unit_id, name, page.items, symbols, with_header), page.next_cursor


class _Symbols:
    """The symbols of Lp and Leq at a time, found once for each time the settings changed."""

    def __init__(self, settings: Sequence[StoredMeterSetting]) -> None:
        self._settings = settings
        self._changes = sorted({row.since_at for row in settings})
        self._known: dict[int, tuple[str, str]] = {}

    def at(self, at: datetime) -> tuple[str, str]:
        place = bisect_right(self._changes, at)
        if place not in self._known:
            found = labels(settings_at(self._settings, at))
            self._known[place] = found["lp"], found["leq"]
        return self._known[place]


def _csv_text(
    unit_id: str, name: str, items: Sequence[dict[str, Any]], symbols: _Symbols, with_header: bool
) -> str:
    """Items of `history` as CSV lines; an unknown value is empty, times end in Z."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if with_header and items:
        writer.writerow(["unit_id", *items[0], *_CAPTIONS])
    writer.writerows([unit_id, *map(_cell, item.values()), name, *symbols.at(item["at"])] for item in items)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return " ".join(value) if isinstance(value, list) else value
