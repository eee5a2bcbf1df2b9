"""Builds statements for many rows, and inserts rows in few statements."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Dialect

T = TypeVar("T")

# A driver releases the interpreter at every statement and then waits for it, long where the event loop is busy:
# so a statement has many rows.
MOST_ROWS = 500


def in_parts(values: Sequence[T], most: int = MOST_ROWS) -> Iterator[Sequence[T]]:
    """The values in order, in parts that fit in one statement."""
    return (values[start : start + most] for start in range(0, len(values), most))


def value_lists(dialect: Dialect, values: Sequence[object], width: int) -> Iterator[tuple[str, tuple[object, ...]]]:
    """`VALUES (?, ?), …` with its parameters, once for each statement; `values` are rows of `width`."""
    mark = "%s" if dialect.paramstyle in ("format", "pyformat") else "?"
    place = f"({','.join([mark] * width)})"
    for part in in_parts(values, MOST_ROWS * width):
        yield "VALUES " + ",".join([place] * (len(part) // width)), tuple(part)


def insert_values(
    connection: Connection, table: str, names: Sequence[str], values: Sequence[object], conflict: str = ""
) -> None:
    """Insert rows of `names` in few statements; `conflict` is the clause for keys that exist."""
    for places, part in value_lists(connection.dialect, values, len(names)):
        connection.exec_driver_sql(f"INSERT INTO {table} ({','.join(names)}) {places} {conflict}", part)
