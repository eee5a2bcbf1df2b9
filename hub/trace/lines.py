"""Encodes database rows as NDJSON lines: one JSON object per line, with times in UTC."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from math import isfinite
from typing import Any

from hub.oracle.connection import Rows
from hub.trace.domains import Domain

_MEMBERS = re.compile(r"[^,;|\s]+")
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encode_lines(
    columns: tuple[str, ...], rows: Iterable[Iterable[Any]], zone: tzinfo, unreadable: Counter[str] | None = None
) -> bytes:
    """One JSON object per row, each followed by a newline. Dates without a zone are in `zone`.

    A cell that JSON cannot represent is null, and counted in `unreadable` by its column.
    """
    lines = []
    for row in rows:
        cells = {}
        for name, cell in zip(columns, row, strict=True):
            try:
                cells[name] = _clean(cell, zone)
            except (OverflowError, ValueError):
                cells[name] = None
                if unreadable is not None:
                    unreadable[name] += 1
        lines.append(_ENCODE(cells) + "\n")
    return "".join(lines).encode(errors="replace")


def event_rows(
    domain: Domain, result: Rows, wanted: Collection[str]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The columns and rows of a domain. If its key is a list: one row per requested member, with its id first."""
    if not domain.key_is_list:
        return result.columns, result.rows
    key_index = result.columns.index(domain.key.rpartition(".")[2])
    return ("CONTAINERID", *result.columns), list(_by_member(result.rows, key_index, wanted))


def _by_member(rows: list[tuple[Any, ...]], key_index: int, wanted: Collection[str]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for member in dict.fromkeys(_MEMBERS.findall(str(row[key_index] or ""))):
            if member in wanted:
                yield (member, *row)


def _clean(cell: Any, zone: tzinfo) -> Any:
    """The cell as JSON can represent it. Raises OverflowError or ValueError when it cannot."""
    if cell is None or isinstance(cell, int):
        return cell
    if isinstance(cell, str):
        return cell.rstrip() or None
    if isinstance(cell, datetime):
        aware = cell if cell.tzinfo else cell.replace(tzinfo=zone)
        return aware.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    if isinstance(cell, Decimal | float):
        if cell != cell:  # NaN: the database's own value for no number
            return None
        if not isfinite(cell):
            raise ValueError("no number")
        return int(cell) if isinstance(cell, Decimal) and cell == cell.to_integral_value() else float(cell)
    return cell.hex() if isinstance(cell, bytes) else str(cell)
