"""The statements of a trace, in few different texts for any number of ids, and the source that runs them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hub.oracle.connection import FetchMode, RowSink
from hub.trace.domains import Domain, name_of

SIZES = (1, 10, 100, 999)
"""The numbers of ids in a statement. Oracle allows 1,000 in a list; few sizes mean few statements to parse."""


@dataclass(frozen=True, slots=True)
class Query:
    """One statement. `kind` and `keys` describe it for a source without SQL."""

    kind: str
    sql: str
    binds: Mapping[str, Any]
    keys: tuple[str, ...]
    columns: tuple[str, ...]


class TraceSource(Protocol):
    """The source of rows."""

    async def read(self, query: Query, sink: RowSink, mode: FetchMode = FetchMode.PLAIN) -> None:
        """Pass the rows to `sink` in chunks. Raises `OracleError`; `DriverFailed` if another mode may help."""


def text_of(cell: Any) -> str | None:
    """The id or name in a cell; None for an empty or unreadable one."""
    return str(cell).strip() or None if cell is not None else None


def distinct(ids: Iterable[str]) -> list[str]:
    """Every id once, stripped, in order; without empty ones."""
    return [each for each in dict.fromkeys(each.strip() for each in ids) if each]


def batches(ids: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """The ids in groups of at most `size`."""
    return (tuple(ids[start : start + size]) for start in range(0, len(ids), size))


def padded(ids: Sequence[str], sizes: Sequence[int] = SIZES) -> list[str]:
    """The ids, padded with the last one to the next of `sizes`; a repeated id does not repeat its rows."""
    size = next(size for size in sizes if size >= len(ids))
    return [*ids, *[ids[-1]] * (size - len(ids))]


def bound(ids: Sequence[str], sizes: Sequence[int] = SIZES) -> tuple[str, dict[str, Any]]:
    """The placeholders `:i0, :i1, …` and their values."""
    binds = {f"i{at}": each for at, each in enumerate(padded(ids, sizes))}
    return ", ".join(f":{name}" for name in binds), binds


def event_query(domain: Domain, ids: tuple[str, ...]) -> Query:
    """The rows of a domain for one batch of ids."""
    marks, binds = bound(ids, domain.sizes)
    if domain.key_is_list:
        # This may match an id within a longer one; `event_rows` compares the members exactly.
        wanted = " OR ".join(f"{domain.key} LIKE '%' || :{name} || '%'" for name in binds)
        condition = f"({wanted})"
    else:
        condition = f"{domain.key} IN ({marks})"
    if domain.where:
        condition = f"{condition} AND {domain.where}"
    sql = f"SELECT {', '.join(domain.selected)} FROM {domain.tables} WHERE {condition}"
    if domain.newest_of:
        sql = _newest(domain, condition)
    return Query(domain.name, sql, binds, ids, domain.names)


def _newest(domain: Domain, condition: str) -> str:
    rank = f"ROW_NUMBER() OVER (PARTITION BY {', '.join(domain.newest_of)} ORDER BY {domain.newest_by} DESC)"
    names = [name_of(column) for column in domain.selected]
    inner = f"SELECT {', '.join(domain.selected)}, {rank} AS RECENCY FROM {domain.tables} WHERE {condition}"
    return f"SELECT {', '.join(names)} FROM ({inner}) WHERE RECENCY = 1"
