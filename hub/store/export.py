"""Stored rows as CSV or JSON, a piece at a time, for `hub export`, downloads and pages."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlmodel import Session

from hub.clock import rfc3339
from hub.store.database import Database
from hub.store.history import Page, columns, history

_ROWS_PER_PIECE = 2_000
_ITEMS_PER_PIECE = 1_000


async def export_rows(
    database: Database,
    unit_ids: Sequence[str],
    from_at: datetime,
    to_at: datetime,
    *,
    step_s: float | None = None,
    metrics: Sequence[str] | None = None,
) -> AsyncIterator[str]:
    """Yields CSV text with one header line, unit by unit, each in order of time; columns as in `history`.

    Each piece is a read of its own, so that an export of years holds up nobody. Raises what `history` raises.
    """
    part = partial(history, from_at=from_at, to_at=to_at, step_s=step_s, metrics=metrics, limit=_ROWS_PER_PIECE)
    has_header = False
    for unit_id in unit_ids:
        cursor: str | None = None
        while True:
            read = partial(_piece, part=part, unit_id=unit_id, cursor=cursor, with_header=not has_header)
            text, cursor = await database.query(read, goes_on=has_header or cursor is not None)
            if text:
                yield text
                has_header = True
            if cursor is None:
                break
    if not has_header:
        yield ",".join(["unit_id", *columns(step_s, metrics)]) + "\n"


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
        text, count, cursor = await database.query(read, goes_on=opening == ",")
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
    session: Session, part: Callable[..., Page], unit_id: str, cursor: str | None, with_header: bool
) -> tuple[str, str | None]:
    """Made into text in the thread that reads, so that rows do not wait in memory until somebody has read them."""
    page = part(session, unit_id=unit_id, cursor=cursor)
    return csv_text(unit_id, page.items, with_header=with_header), page.next_cursor


def csv_text(unit_id: str, items: Sequence[dict[str, Any]], *, with_header: bool) -> str:
    """Items of `history` as CSV lines; an unknown value is empty, times end in Z."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if with_header and items:
        writer.writerow(["unit_id", *items[0]])
    writer.writerows([unit_id, *map(_cell, item.values())] for item in items)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    return " ".join(value) if isinstance(value, list) else value
