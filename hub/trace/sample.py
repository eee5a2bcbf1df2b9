"""A simulated history for demonstrations: splits, merges and events of the simulated plant, derived from ids."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from re import fullmatch
from typing import Any, NamedTuple
from zlib import crc32

from anyio import to_thread

from hub.oracle.connection import FetchMode, Rows, RowSink
from hub.trace.domains import DOMAINS, DomainName
from hub.trace.query import Query

_CHUNK = 500
_LOTS = 20
"""Sub-lots of a run card: number 1 is the whole lot; number n was split from number n // 2."""

_STATIONS = ("Epoxy D/B", "Wire Bond", "Molding", "Trim/Form", "Wafer Sort")
_KINDS = ("GDBA", "GWBK", "GMLD", "GTMF", "GWSR")
_SINCE = datetime(2026, 1, 5, 8)  # noqa: DTZ001 - a plant's dates have no zone


class SampleHistory:
    """A `TraceSource` without a database; the same id has the same history in every process."""

    async def read(self, query: Query, sink: RowSink, mode: FetchMode = FetchMode.PLAIN) -> None:
        """Pass the rows of a query to `sink`; every cell is readable, so `mode` has no effect."""
        rows = iter(_rows(query))
        while chunk := await to_thread.run_sync(lambda: list(islice(rows, _CHUNK))):
            if not await sink(Rows(query.columns, chunk)):
                break


def _rows(query: Query) -> Iterable[tuple[Any, ...]]:
    match query.kind:
        case "ancestors":
            return ((each, _parent(each), name_of(each), depth) for key in query.keys for depth, each in _up(key))
        case "descendants":
            return ((each, _parent(each), name_of(each), depth) for key in query.keys for depth, each in _down(key))
        case "merges":
            return ((key, source) for key in query.keys for source in _sources(key))
        case kind if kind.startswith("seed:"):
            return ((each, name_of(each)) for each in _seeds(kind, query.keys))
        case kind:
            return _events(DomainName(kind), query.keys)


def id_of(lot: int, part: int = 1) -> str:
    """The container id of a part of a lot."""
    return f"48801a80{lot * _LOTS + part:08x}"


def name_of(container_id: str) -> str | None:
    """A name such as `GA26000123-A00-004`; None for an id that is not one of the simulated plant."""
    position = _position(container_id)
    return None if position is None else f"GA26{position[0]:06d}-A00-{position[1]:03d}"


def _position(container_id: str) -> tuple[int, int] | None:
    found = fullmatch(r"48801a80([0-9a-f]{8})", container_id)
    if found is None:
        return None
    lot, part = divmod(int(found[1], 16), _LOTS)
    return (lot, part) if part and lot < 10**6 else None


def _parent(container_id: str) -> str | None:
    lot, part = _position(container_id) or (0, 0)
    return id_of(lot, part // 2) if part > 1 else None


def _up(container_id: str) -> Iterator[tuple[int, str]]:
    depth, each = 1, container_id if _position(container_id) else None
    while each is not None:
        yield depth, each
        depth, each = depth + 1, _parent(each)


def _down(container_id: str) -> Iterator[tuple[int, str]]:
    position = _position(container_id)
    waiting = [(1, position[1])] if position else []
    while waiting and position:
        depth, part = waiting.pop()
        yield depth, id_of(position[0], part)
        waiting += [(depth + 1, child) for child in (2 * part, 2 * part + 1) if child < _LOTS]


def _sources(container_id: str) -> list[str]:
    """Every tenth lot was merged from two earlier ones, which were not merged themselves."""
    lot, part = _position(container_id) or (1, 0)
    return [id_of(lot - 1), id_of(lot - 2)] if part == 1 and lot >= 10 and lot % 10 == 0 else []


def _seeds(kind: str, keys: tuple[str, ...]) -> Iterator[str]:
    if kind == "seed:range":
        yield from (id_of(lot) for lot in range(100, 150))
    for key in keys:
        if lot_name := fullmatch(r"GA26(\d{6})-A00-(\d{3})", key):
            if 0 < int(lot_name[2]) < _LOTS:
                yield id_of(int(lot_name[1]), int(lot_name[2]))
        elif wafer := fullmatch(r"WLOT-(\d{5})(#A1P)?", key):
            yield id_of(int(wafer[1]))
        elif order := fullmatch(r"MO-(\d{4})", key):
            yield from (id_of(int(order[1]) * 5 + each) for each in range(5))


class _Step(NamedTuple):
    """One process step of a lot."""

    container_id: str
    name: str | None
    lot: int
    seed: int
    number: int
    since: datetime


def _events(name: DomainName, ids: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    columns = DOMAINS[name].names
    for container_id in ids:
        position = _position(container_id)
        if position is None:
            continue
        seed = crc32(f"{name}/{container_id}".encode())
        since = _SINCE + timedelta(minutes=position[0] % 40_000 + seed % 97)
        for number in range(3 if "history" in name else seed % 3):
            at = since + timedelta(minutes=190 * number)
            step = _Step(container_id, name_of(container_id), position[0], seed >> number, number, at)
            yield tuple([_cell(column, step) for column in columns])


def _cell(column: str, step: _Step) -> Any:
    match column:
        case "CONTAINERID" | "CONTAINERIDS":
            return step.container_id
        case "CONTAINERNAME" | "CONTAINERNAMES" | "FINISHEDRUNCARD":
            return step.name
        case "WORKCENTERNAME" | "WORKCENTER_GROUP" | "SPECNAME":
            return _STATIONS[step.number]
        case "EQUIPMENTID" | "RESOURCEID":
            return f"{0x4880168000000000 + step.seed % 2600:016x}"
        case "EQUIPMENTNAME" | "RESOURCENAME":
            return f"{_KINDS[step.number]}-{step.seed % 2600:04d}"
        case "PJ_WORKORDER" | "JOBORDERNAME":
            return f"MO-{step.lot // 5:04d}"
        case "WAFER_LOT_ID":
            return f"WLOT-{step.lot % 10**5:05d}#A1P"
        case "HOLD_STATUS":
            return "RELEASED"
        case "HOLD_HOURS":
            return 2.83
        case "TRACKOUTTIMESTAMP" | "RELEASETXNDATE" | "COMPLETEDATE":
            return step.since + timedelta(minutes=170)
        case "TXN_DAY":
            return step.since.replace(hour=0, minute=0)
        case text if "DATE" in text or "TIMESTAMP" in text:
            return step.since
        case text if "QTY" in text:
            return step.seed % 5000
        case text:
            return f"{text.removesuffix('NAME')}-{step.seed % 40:02d}"
