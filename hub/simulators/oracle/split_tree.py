"""Containers and how they split and merge: a forest by arithmetic, any size without memory."""

import re
from collections.abc import Callable, Iterator, Sequence

from hub.simulators.oracle.answers import Binds, Column, ResultSet
from hub.simulators.oracle.encoding import Scalar
from hub.simulators.oracle.select_list import plain, select_list
from hub.simulators.oracle.tables import chosen, named

CONTAINER, COMBINED = "DW_MES_CONTAINER", "DW_MES_PJ_COMBINEDASSYLOTS"
ORDER_LOTS = 25
_COLUMNS = {
    CONTAINER: (
        Column("CONTAINERID", "CHAR", 16),
        Column("SPLITFROMID", "CHAR", 16),
        Column("CONTAINERNAME"),
        Column("MFGORDERNAME"),
        Column("OBJECTTYPE"),
        Column("FIRSTNAME"),
        Column("ORIGINALCONTAINERID", "CHAR", 16),
        Column("QTY", "NUMBER"),
        Column("LEVEL", "NUMBER"),
        Column("CONNECT_BY_ROOT", "CHAR", 16),
        Column("CONNECT_BY_ISLEAF", "NUMBER"),
        Column("CONNECT_BY_ISCYCLE", "NUMBER"),
    ),
    COMBINED: (
        Column("LOTID", "CHAR", 16),
        Column("CONTAINERID", "CHAR", 16),
        Column("FINISHEDNAME"),
        Column("CONTAINERNAME"),
    ),
}


class SplitTree:
    """`lots` containers numbered from 0; the first `roots` are not split from another; `fanout` children each.

    Every `merge_every`-th is a finished lot made of two others. Ids that are not of this tree stand alone.
    """

    def __init__(self, lots: int = 10_000, roots: int = 1_000, fanout: int = 2, merge_every: int = 10) -> None:
        self.lots = lots
        self.roots = roots
        self.fanout = fanout
        self.merge_every = merge_every

    def has_table(self, table: str) -> bool:
        return table in _COLUMNS

    def id_of(self, number: int) -> str:
        return f"48801a80{number:08x}"

    def number_of(self, container_id: str) -> int | None:
        if len(container_id) != 16 or not container_id.startswith("48801a80"):
            return None
        try:
            number = int(container_id[8:], 16)
        except ValueError:
            return None
        return number if number < self.lots else None

    def name_of(self, container_id: str) -> str:
        number = self.number_of(container_id)
        return f"LOT-{container_id}" if number is None else f"GA{number:08d}-A00-001"

    def id_of_name(self, name: str) -> str | None:
        found = re.fullmatch(r"GA(\d{8})-A00-001", name)
        return self.id_of(int(found[1])) if found and int(found[1]) < self.lots else None

    def ids_of_order(self, order: str) -> list[str]:
        found = re.fullmatch(r"MO-(\d{6})", order)
        first = int(found[1]) * ORDER_LOTS if found else self.lots
        return [self.id_of(number) for number in range(first, min(first + ORDER_LOTS, self.lots))]

    def parents(self, container_id: str) -> list[str]:
        """The container this one was split from, if any."""
        number = self.number_of(container_id)
        if number is None or number < self.roots:
            return []
        return [self.id_of((number - self.roots) // self.fanout)]

    def children(self, container_id: str) -> list[str]:
        number = self.number_of(container_id)
        if number is None:
            return []
        first = self.roots + number * self.fanout
        return [self.id_of(each) for each in range(first, min(first + self.fanout, self.lots))]

    def sources(self, lot_id: str) -> list[str]:
        """The two lots a finished lot was made of."""
        number = self.number_of(lot_id)
        if number is None or number % self.merge_every or self.lots < 3:
            return []
        return [self.id_of((number + 1) % self.lots), self.id_of((number + 2) % self.lots)]

    def answer(self, table: str, sql: str, ids: Sequence[str], binds: Binds) -> ResultSet:
        """Rows of a query on one of the two tables; a CONNECT BY walks up or down from the ids."""
        picks: list[tuple[int, Column]] = []
        columns = _COLUMNS[table]
        for item in select_list(sql):
            if item.text.upper().startswith("CONNECT_BY_ROOT"):
                at = next(at for at, column in enumerate(columns) if column.name == "CONNECT_BY_ROOT")
                picks.append((at, named(columns[at], item.name)))
            else:
                picks += chosen([item], columns)
        if table == COMBINED:
            rows = self._merges(ids)
        elif re.search(r"\bCONNECT\s+BY\b", sql, re.IGNORECASE):
            is_up = re.search(r"\bPRIOR\s+(?:\w+\.)?SPLITFROMID\b", plain(sql), re.IGNORECASE)
            rows = self._walk(ids, self.parents if is_up else self.children, _depth(sql, binds))
        else:
            rows = (self._container(each, 1, each) for each in ids)
        where = [at for at, _ in picks]
        return ResultSet([column for _, column in picks], (tuple(row[at] for at in where) for row in rows))

    def _walk(
        self, ids: Sequence[str], following: Callable[[str], list[str]], depth: int
    ) -> Iterator[tuple[Scalar, ...]]:
        for root in ids:
            todo = [(root, 1)]
            while todo:
                each, level = todo.pop()
                yield self._container(each, level, root)
                if level < depth:
                    todo += [(further, level + 1) for further in following(each)]

    def _container(self, each: str, level: int, root: str) -> tuple[Scalar, ...]:
        number = self.number_of(each)
        name = self.name_of(each)
        order = None if number is None else f"MO-{number // ORDER_LOTS:06d}"
        parent = next(iter(self.parents(each)), None)
        return (each, parent, name, order, "LOT", f"WAF-{name[2:10]}", None, 1000, level, root, int(not parent), 0)

    def _merges(self, ids: Sequence[str]) -> Iterator[tuple[Scalar, ...]]:
        for lot in ids:
            for source in self.sources(lot):
                yield lot, source, f"FIN-{self.name_of(lot)}", self.name_of(source)


def _depth(sql: str, binds: Binds) -> int:
    """The limit on LEVEL: a literal, or the bind that is a number."""
    if literal := re.search(r"\bLEVEL\s*<=?\s*(\d+)", plain(sql), re.IGNORECASE):
        return int(literal[1])
    return next((value for value in binds.values if isinstance(value, int)), 1000)
