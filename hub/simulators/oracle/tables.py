"""A table of rows: answers a select with the columns asked for, encoded once per choice of columns."""

import re
from collections.abc import Iterator, Mapping, Sequence

from hub.simulators.oracle.answers import Column, OraError, ResultSet, encode_row
from hub.simulators.oracle.encoding import Scalar
from hub.simulators.oracle.select_list import Item, plain, select_list


def named(column: Column, name: str) -> Column:
    """The same column under an alias."""
    if column.name == name:
        return column
    return Column(name, column.kind, column.size, column.precision, column.scale, column.nullable)


def chosen(
    items: Sequence[Item], columns: Sequence[Column], *, knows_to_char: bool = False
) -> list[tuple[int, Column]]:
    """Position and result column of each entry of a select list; an alias counts where its expression is unknown.

    Raises ORA-00904 for a name the table does not have.
    """
    positions = {column.name: at for at, column in enumerate(columns)}
    found: list[tuple[int, Column]] = []
    for item in items:
        if item.column == "*":
            found += enumerate(columns)
            continue
        at = positions.get(item.column or "", positions.get(item.name))
        if at is None:
            raise OraError(904, f'"{item.column or item.name}": invalid identifier')
        if knows_to_char and item.text.upper().startswith("TO_CHAR("):
            found.append((at, Column(item.name, "VARCHAR2", 64, as_text=columns[at].kind)))
        else:
            found.append((at, named(columns[at], item.name)))
    return found


class Table:
    """Rows as tuples in the order of `columns`; change them through the methods only.

    `knows_to_char`: it writes dates and numbers as text where TO_CHAR asks for it, as a real Oracle does.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[tuple[Scalar, ...]] = ()) -> None:
        self.columns = tuple(columns)
        self.transaction = False
        self.knows_to_char = True
        self._positions = {column.name: at for at, column in enumerate(columns)}
        self._rows = list(rows)
        self._encoded: dict[tuple[tuple[int, str], ...], list[bytes | None]] = {}

    @property
    def rows(self) -> Sequence[tuple[Scalar, ...]]:
        return tuple(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def replace(self, rows: Sequence[tuple[Scalar, ...]]) -> None:
        """Put other rows in the place of all."""
        self._rows = list(rows)
        self._encoded.clear()

    def update(self, key: str, value: Scalar, changes: Mapping[str, Scalar]) -> int:
        """Change columns in the rows where column `key` has this value; returns how many rows there were."""
        where = self._positions[key]
        hits = [at for at, row in enumerate(self._rows) if row[where] == value]
        for at in hits:
            row = list(self._rows[at])
            for name, new in changes.items():
                row[self._positions[name]] = new
            self._rows[at] = tuple(row)
            for encoded in self._encoded.values():
                encoded[at] = None
        return len(hits)

    def select(self, sql: str) -> ResultSet:
        """The select list's columns of all rows; WHERE is not read, but for 1=0."""
        items = select_list(sql)
        if len(items) == 1 and re.match(r"COUNT\s*\(\s*\*\s*\)", items[0].text, re.IGNORECASE):
            return ResultSet([Column(items[0].name, "NUMBER")], [(len(self._rows),)], self.transaction)
        picks = chosen(items, self.columns, knows_to_char=self.knows_to_char)
        columns = [column for _, column in picks]
        if re.search(r"\b1\s*=\s*0\b", plain(sql)):
            return ResultSet(columns, [], self.transaction)
        return ResultSet(columns, self._encode(picks), self.transaction)

    def _encode(self, picks: Sequence[tuple[int, Column]]) -> Iterator[bytes]:
        encoders = [column.encoder() for _, column in picks]
        key = tuple((at, column.as_text) for at, column in picks)
        cached = self._encoded.setdefault(key, [None] * len(self._rows))
        # a result set is consistent: later changes do not show in it
        rows = tuple(self._rows)
        for at, row in enumerate(rows):
            if cached[at] is None:
                cached[at] = encode_row(encoders, [row[at_column] for at_column, _ in picks])
        return iter([each for each in cached if each is not None])
