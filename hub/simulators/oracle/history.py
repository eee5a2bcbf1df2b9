"""The history tables: so many rows per requested id, a split tree, merges, and seed queries without ids."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zlib import crc32

from hub.simulators.oracle.answers import ROW, Binds, Column, ResultSet
from hub.simulators.oracle.encoding import Scalar
from hub.simulators.oracle.select_list import Item, filter_column, plain, select_list, tables
from hub.simulators.oracle.split_tree import SplitTree
from hub.simulators.oracle.tables import chosen

TEXT, QUANTITY, MOMENT = "VARCHAR2", "NUMBER", "DATE"
_WHERE = (
    "CONTAINERNAME WORKCENTERNAME WORKCENTER_GROUP SPECNAME EQUIPMENTID EQUIPMENTNAME PJ_WORKORDER PJ_TYPE PJ_BOP"
)
_TABLES = {
    "DW_MES_LOTWIPHISTORY": (
        f"{_WHERE} FINISHEDRUNCARD PRODUCTLINENAME WAFER_LOT_ID",
        "TRACKINQTY TRACKOUTQTY",
        "TRACKINTIMESTAMP TRACKOUTTIMESTAMP",
    ),
    "DW_MES_LOTMATERIALSHISTORY": (
        f"{_WHERE} MATERIALPARTNAME MATERIALLOTNAME MATERIALDESCRIPTION",
        "QTYCONSUMED QTYREQUIRED",
        "TXNDATE",
    ),
    "DW_MES_LOTREJECTHISTORY": (
        f"{_WHERE} LOSSREASONNAME REJECTCOMMENT",
        "REJECT_QTY STANDBY_QTY QTYTOPROCESS_QTY INPROCESS_QTY PROCESSED_QTY REJECT_TOTAL_QTY DEFECT_QTY REJECTQTY "
        "STANDBYQTY QTYTOPROCESS INPROCESSQTY PROCESSEDQTY DEFECTQTY",
        "TXNDATE TXN_DAY",
    ),
    "DW_MES_HOLDRELEASEHISTORY": (
        f"{_WHERE} HOLDEMP HOLDEMPDEPTNAME HOLDREASONNAME HOLDCOMMENTS RELEASEEMP RELEASECOMMENTS NCRID "
        "HOLD_STATUS",
        "HOLD_HOURS",
        "HOLDTXNDATE RELEASETXNDATE",
    ),
    "DW_MES_JOB": (
        "CONTAINERIDS CONTAINERNAMES JOBID RESOURCEID RESOURCENAME JOBSTATUS JOBMODELNAME JOBORDERNAME "
        "CAUSECODENAME REPAIRCODENAME SYMPTOMCODENAME",
        "",
        "CREATEDATE COMPLETEDATE",
    ),
}
_OF_ID = ("CONTAINERID", "CONTAINERIDS")
_OF_NAME = ("CONTAINERNAME", "CONTAINERNAMES")
_VARIANTS = 32
_EPOCH = datetime(2026, 2, 25, 8)  # noqa: DTZ001 - the plant's local time has no zone


def _columns(texts: str, quantities: str, moments: str) -> tuple[Column, ...]:
    return (
        Column("CONTAINERID", "CHAR", 16),
        *(Column(name, TEXT, 4000 if name.startswith("CONTAINER") else 80) for name in texts.split()),
        *(Column(name, QUANTITY) for name in quantities.split()),
        *(Column(name, MOMENT) for name in moments.split()),
    )


class History:
    """`rows_per_id` rows for every id asked for; `tree` gives containers, splits and merges.

    A query that names no ids is a seed query: its rows are those of the tree's first `seed_lots` lots.
    """

    def __init__(self, rows_per_id: int = 3, tree: SplitTree | None = None, seed_lots: int = 100) -> None:
        self.rows_per_id = rows_per_id
        self.tree = tree or SplitTree()
        self.seed_lots = seed_lots
        self._columns = {table: _columns(*names) for table, names in _TABLES.items()}
        self._templates: dict[tuple[str, tuple[int, ...]], tuple[list[bytes], list[int]]] = {}

    def answer(self, sql: str, binds: Binds) -> ResultSet | None:
        """None if the query is about none of these tables; raises ORA-00904."""
        for table in tables(sql):
            if table in self._columns:
                return self._events(table, sql, self._ids(sql, binds))
            if self.tree.has_table(table):
                return self.tree.answer(table, sql, self._ids(sql, binds), binds)
        return None

    def rows_of(self, table: str, container_id: str) -> list[dict[str, Scalar]]:
        """What the server tells about an id, by column."""
        return [self._row(table, variant, container_id) for variant in self._variants(container_id)]

    def _ids(self, sql: str, binds: Binds) -> list[str]:
        """The ids the query asks for, each once; by name or work order too."""
        column = filter_column(sql) or ""
        texts = dict.fromkeys(value.strip("% ") for value in binds.values if isinstance(value, str))
        if column.endswith(("ID", "IDS")) or (column in ("LIKE", "CONTAINERS")):
            return list(texts)
        if column.endswith("NAME") and column.startswith(("CONTAINER", "FINISHED")):
            return [found for text in texts if (found := self.tree.id_of_name(text))]
        if column in ("MFGORDERNAME", "PJ_WORKORDER"):
            return [each for text in texts for each in self.tree.ids_of_order(text)]
        return [self.tree.id_of(number) for number in range(self.seed_lots)]

    def _events(self, table: str, sql: str, ids: Sequence[str]) -> ResultSet:
        items = select_list(sql)
        counted = [item for item in items if re.match(r"COUNT\s*\(", item.text, re.IGNORECASE)]
        if counted:
            return ResultSet([Column(counted[0].name, "NUMBER")], [(len(ids) * self.rows_per_id,)])
        picks = chosen(items, self._columns[table])
        once = re.search(r"\bSELECT\s+DISTINCT\b", plain(sql), re.IGNORECASE) and self._is_id_only(items)
        return ResultSet(
            [column for _, column in picks],
            self._rows(table, tuple(at for at, _ in picks), ids, once=bool(once)),
        )

    def _is_id_only(self, items: Sequence[Item]) -> bool:
        return all(item.column in (*_OF_ID, *_OF_NAME) for item in items)

    def _rows(self, table: str, picks: tuple[int, ...], ids: Sequence[str], *, once: bool) -> Iterator[bytes]:
        """Rows already encoded: a template per variant, filled with the encoded id and name."""
        templates, places = self._templates.get((table, picks)) or self._prepare(table, picks)
        fixed, text = (column.encoder() for column in self._columns[table][:2])
        # by place: the fixed-width id, the id as text, the name
        forms = (fixed, text, lambda each: text(self.tree.name_of(str(each))))
        used = [forms[place] for place in places]
        for container_id in ids:
            filling = tuple([form(container_id) for form in used])
            for variant in self._variants(container_id)[: 1 if once else None]:
                yield templates[variant] % filling

    def _variants(self, container_id: str) -> list[int]:
        start = crc32(container_id.encode())
        return [(start + 7 * each) % _VARIANTS for each in range(self.rows_per_id)]

    def _prepare(self, table: str, picks: tuple[int, ...]) -> tuple[list[bytes], list[int]]:
        columns = self._columns[table]
        templates: list[bytes] = []
        places = [
            2 if columns[at].name in _OF_NAME else int(columns[at].name == "CONTAINERIDS")
            for at in picks
            if columns[at].name in (*_OF_ID, *_OF_NAME)
        ]
        for variant in range(_VARIANTS):
            row = self._row(table, variant, "")
            parts = [ROW]
            for at in picks:
                if columns[at].name in (*_OF_ID, *_OF_NAME):
                    parts.append(b"%b")
                else:
                    parts.append(columns[at].encoder()(row[columns[at].name]).replace(b"%", b"%%"))
            templates.append(b"".join(parts))
        self._templates[table, picks] = templates, places
        return templates, places

    def _row(self, table: str, variant: int, container_id: str) -> dict[str, Scalar]:
        row: dict[str, Scalar] = {}
        for at, column in enumerate(self._columns[table]):
            if column.name in _OF_ID:
                row[column.name] = container_id
            elif column.name in _OF_NAME:
                row[column.name] = self.tree.name_of(container_id)
            elif column.kind == TEXT:
                row[column.name] = f"{column.name[:12]}-{(variant * 7 + at) % 40:02d}"
            elif column.kind == QUANTITY:
                row[column.name] = (variant * 131 + at * 17) % 5000 if variant % 11 else None
            else:
                row[column.name] = _EPOCH - timedelta(minutes=variant * 97 + at) if (variant + at) % 13 else None
        return row
