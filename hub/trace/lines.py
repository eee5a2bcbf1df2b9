"""Rows from the database as NDJSON lines: clean cells, aware times, one object per line."""

import json
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from hub.oracle.connection import Rows
from hub.trace.domains import Domain

_MEMBERS = re.compile(r"[^,;|\s]+")
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def encode_lines(columns: tuple[str, ...], rows: Iterable[Iterable[Any]], zone: tzinfo) -> bytes:
    """One JSON object per row, each ended by a newline. Zone-less dates are of `zone`."""
    return "".join(
        [_ENCODE(dict(zip(columns, [_clean(cell, zone) for cell in row], strict=True))) + "\n" for row in rows]
    ).encode()


def event_rows(
    domain: Domain, result: Rows, wanted: Collection[str]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Columns and rows of a domain. Where the key is a list: one row per member asked for, its id in front."""
    if not domain.key_is_list:
        return result.columns, result.rows
    place = result.columns.index(domain.key.rpartition(".")[2])
    return ("CONTAINERID", *result.columns), list(_by_member(result.rows, place, wanted))


def _by_member(rows: list[tuple[Any, ...]], place: int, wanted: Collection[str]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for member in dict.fromkeys(_MEMBERS.findall(row[place] or "")):
            if member in wanted:
                yield (member, *row)


def _clean(cell: Any, zone: tzinfo) -> Any:
    if isinstance(cell, str):
        return cell.rstrip() or None
    if isinstance(cell, datetime):
        aware = cell if cell.tzinfo else cell.replace(tzinfo=zone)
        return aware.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    if cell != cell:  # NaN is the only value that differs from itself
        return None
    return cell
