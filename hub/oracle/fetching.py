"""Fetches rows so that a cell that cannot be decoded loses only itself, in one of three modes.

The driver decodes a whole round trip at once, and fails at the first cell that Python cannot represent: a date
before the year 1, or a malformed number. Such a result is fetched again with dates and numbers as text, or row by
row. A text that ends within a character is decoded with U+FFFD in its place.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import oracledb

from hub.oracle.errors import DriverFailed, OracleRejected, TextRefused, driver_errors

T = TypeVar("T")
Binds = Mapping[str, Any]
_NONE: Mapping[str, int] = MappingProxyType({})


class Rows(NamedTuple):
    """A result: the column names as the database spells them, and one tuple per row in their order.

    `unreadable`: cells that could not be decoded, by column; they are None in their rows.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    unreadable: Mapping[str, int] = _NONE


class FetchMode(Enum):
    """How to fetch, from the usual mode to the most careful one."""

    PLAIN = auto()
    AS_TEXT = auto()  # the database converts dates and numbers to text
    ROW_BY_ROW = auto()  # for a database that cannot: each row in a round trip of its own


async def fetch_carefully(read: Callable[[FetchMode], Awaitable[T]]) -> T:
    """What `read(mode)` returns, called again with a more careful mode each time the driver failed."""
    try:
        return await read(FetchMode.PLAIN)
    except DriverFailed:
        pass
    try:
        return await read(FetchMode.AS_TEXT)
    except TextRefused:
        return await read(FetchMode.ROW_BY_ROW)


async def read_chunks(
    cursor: oracledb.AsyncCursor, sql: str, binds: Binds, size: int, mode: FetchMode, call_s: float
) -> AsyncGenerator[Rows, None]:
    """Yield the rows, about `size` at a time. The first chunk may be empty; it carries the columns.

    Raises `OracleError`: `DriverFailed` when a more careful mode may succeed.
    """
    if mode is FetchMode.ROW_BY_ROW:
        chunks = _by_row(cursor, sql, binds, size, call_s)
    elif mode is FetchMode.AS_TEXT:
        chunks = _as_text(cursor, sql, binds, size, call_s)
    else:
        chunks = _plainly(cursor, sql, binds, size, call_s)
    async for chunk in chunks:
        yield chunk


_TEXTS = frozenset(
    {oracledb.DB_TYPE_CHAR, oracledb.DB_TYPE_VARCHAR, oracledb.DB_TYPE_NCHAR, oracledb.DB_TYPE_NVARCHAR}
)
_LARGE = {
    oracledb.DB_TYPE_CLOB: oracledb.DB_TYPE_LONG,
    oracledb.DB_TYPE_NCLOB: oracledb.DB_TYPE_LONG_NVARCHAR,
    oracledb.DB_TYPE_BLOB: oracledb.DB_TYPE_LONG_RAW,
}
_DATES = {
    oracledb.DB_TYPE_DATE: """TO_CHAR("{}", 'SYYYY-MM-DD"T"HH24:MI:SS')""",
    oracledb.DB_TYPE_TIMESTAMP: """TO_CHAR("{}", 'SYYYY-MM-DD"T"HH24:MI:SS.FF6')""",
    oracledb.DB_TYPE_TIMESTAMP_TZ: """TO_CHAR(SYS_EXTRACT_UTC("{}"), 'SYYYY-MM-DD"T"HH24:MI:SS.FF6')""",
}
_NUMBERS = dict.fromkeys(
    (oracledb.DB_TYPE_NUMBER, oracledb.DB_TYPE_BINARY_DOUBLE, oracledb.DB_TYPE_BINARY_FLOAT),
    "TO_CHAR(\"{}\", 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')",
)
_FORMS = {**_DATES, **_NUMBERS}
_SYNTAX = range(900, 1000)
"""ORA codes of syntax errors, which a database that supports TO_CHAR never raises for these statements."""


def _fetched_as(cursor: oracledb.AsyncCursor, column: oracledb.FetchInfo) -> "oracledb.Var | None":
    """The variable for a column. One function for all cursors: for another function the driver creates new ones."""
    kind = column.type_code
    if kind in _TEXTS or kind in _LARGE:
        return cursor.var(_LARGE.get(kind, kind), arraysize=cursor.arraysize, encoding_errors="replace")
    return None


async def _plainly(
    cursor: oracledb.AsyncCursor, sql: str, binds: Binds, size: int, call_s: float, prefetch: int | None = None
) -> AsyncGenerator[Rows, None]:
    cursor.arraysize = size
    cursor.prefetchrows = size if prefetch is None else prefetch
    cursor.outputtypehandler = _fetched_as
    with driver_errors(call_s):
        await cursor.execute(sql, dict(binds))
    columns = _names(cursor)
    yield Rows(columns, [])
    while True:
        with driver_errors(call_s):
            rows = await cursor.fetchmany(size)
        if not rows:
            return
        yield Rows(columns, rows)


def _names(cursor: oracledb.AsyncCursor) -> tuple[str, ...]:
    return tuple(column.name for column in cursor.description or ())


def _kinds(cursor: oracledb.AsyncCursor) -> "list[oracledb.DbType]":
    return [column.type_code for column in cursor.description or ()]


async def _as_text(
    cursor: oracledb.AsyncCursor, sql: str, binds: Binds, size: int, call_s: float
) -> AsyncGenerator[Rows, None]:
    cursor.prefetchrows = 0
    with driver_errors(call_s):
        await cursor.execute(sql, dict(binds))
    names, kinds = _names(cursor), _kinds(cursor)
    chunks = _plainly(cursor, text_sql(sql, names, kinds), binds, size, call_s, prefetch=0)
    try:
        async for chunk in chunks:
            if not chunk.rows and any(kind in _FORMS for kind in _kinds(cursor)):
                raise TextRefused("TO_CHAR")
            yield _parsed(chunk, kinds)
    except OracleRejected as error:
        if error.code.startswith("ORA-") and int(error.code[4:]) in _SYNTAX:
            raise TextRefused(error.code) from None
        raise


def text_sql(sql: str, names: Sequence[str], kinds: "Sequence[oracledb.DbType]") -> str:
    """A statement with the same result, in which the database converts dates and numbers to text."""
    chosen = []
    for name, kind in zip(names, kinds, strict=True):
        form = _FORMS.get(kind)
        chosen.append(f'{form.format(name)} AS "{name}"' if form else f'"{name}"')
    return f"SELECT {', '.join(chosen)} FROM ({sql})"


def _parsed(chunk: Rows, kinds: "list[oracledb.DbType]") -> Rows:
    """The rows with dates and numbers parsed from text; a text that cannot be parsed is None and counted."""
    readers: dict[int, Callable[[str], Any]] = {}
    for at, kind in enumerate(kinds):
        if kind in _DATES:
            readers[at] = _date
        elif kind in _NUMBERS:
            readers[at] = _number
    unreadable: Counter[str] = Counter()
    rows = []
    for row in chunk.rows:
        cells = list(row)
        for at, read in readers.items():
            if isinstance(cells[at], str):
                try:
                    cells[at] = read(cells[at].strip())
                except ValueError:
                    cells[at] = None
                    unreadable[chunk.columns[at]] += 1
        rows.append(tuple(cells))
    return Rows(chunk.columns, rows, unreadable)


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


_UNTOUCHED: "dict[oracledb.DbType, Any]" = {
    **dict.fromkeys(_TEXTS, "\0 not decoded \0"),
    **dict.fromkeys(_NUMBERS, -9.87654321e125),
    **dict.fromkeys(_DATES, datetime(1, 1, 2, 3, 4, 5)),  # noqa: DTZ001 - the driver's dates have no zone
}
"""The value of a variable until the driver stores a cell in it; no database sends any of these."""


async def _by_row(
    cursor: oracledb.AsyncCursor, sql: str, binds: Binds, size: int, call_s: float
) -> AsyncGenerator[Rows, None]:
    """Fetch one row per round trip. In a row that cannot be decoded, the cells before the bad one are in their
    variables already; the bad cell and those behind it are None, so select lists should end with their dates.

    A database that sends only the cells that differ from the row before would be misread after a bad row. Every
    Oracle does that, but every Oracle also supports TO_CHAR, so none is read in this mode.
    """
    kept: dict[int, tuple[oracledb.Var, Any]] = {}
    next_at = 0

    def keep(cursor: oracledb.AsyncCursor, column: oracledb.FetchInfo) -> "oracledb.Var | None":
        nonlocal next_at
        at, next_at = next_at, next_at + 1
        if column.type_code not in _UNTOUCHED:
            return _fetched_as(cursor, column)
        variable = _fetched_as(cursor, column) or cursor.var(column.type_code, arraysize=1)
        kept[at] = (variable, _UNTOUCHED[column.type_code])
        return variable

    cursor.arraysize, cursor.prefetchrows = 1, 0
    cursor.outputtypehandler = keep
    with driver_errors(call_s):
        await cursor.execute(sql, dict(binds))
    columns = _names(cursor)
    chunk, unreadable = Rows(columns, []), Counter[str]()
    bad_in_a_row = 0
    yield Rows(columns, [])
    while True:
        for variable, untouched in kept.values():
            variable.setvalue(0, untouched)
        try:
            with driver_errors(call_s):
                rows = await cursor.fetchmany(1)
            bad_in_a_row = 0
        except DriverFailed:
            known = [variable.getvalue(0) for variable, _ in kept.values()]
            cells = dict(zip(kept, known, strict=True))
            bad = next((at for at, (_, untouched) in kept.items() if cells[at] == untouched), None)
            bad_in_a_row += 1
            if bad is None or bad_in_a_row > size:
                raise
            rows = [tuple(cells.get(at) if at < bad else None for at in range(len(columns)))]
            unreadable[columns[bad]] += 1
        chunk.rows.extend(rows)
        if not rows or len(chunk.rows) >= size:
            yield Rows(columns, chunk.rows, unreadable)
            chunk, unreadable = Rows(columns, []), Counter[str]()
        if not rows:
            return
