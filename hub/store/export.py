"""Stored rows as CSV, a piece at a time, for `hub export` and downloads."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from hub.clock import rfc3339
from hub.store.database import Database
from hub.store.history import columns, history

_ROWS_PER_PIECE = 2_000


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
            page = await database.read(partial(part, unit_id=unit_id, cursor=cursor))
            if page.items:
                yield csv_text(unit_id, page.items, with_header=not has_header)
                has_header = True
            cursor = page.next_cursor
            if cursor is None:
                break
    if not has_header:
        yield ",".join(["unit_id", *columns(step_s, metrics)]) + "\n"


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
