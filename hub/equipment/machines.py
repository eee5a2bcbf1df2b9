"""A plant at one instant: immutable machines, and how they are filtered, serialized and compared."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import Any

from alerts.model.category import Category
from alerts.model.moments import rfc3339
from hub.equipment.aggregate import Record, Tally
from hub.readings.snapshot import MachineChange


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine. `body` is its whole record as JSON; filters, history and alerts use the other fields."""

    resource_id: str
    equipment_id: str | None
    status: str | None
    reason: str | None
    category: Category
    lot_count: int
    body: bytes = field(repr=False)
    object_category: str | None = None
    lots: tuple[str, ...] = field(default=(), repr=False)  # their RUNCARDLOTIDs

    def record(self) -> dict[str, Any]:
        """A copy of the record of the API: the 23 keys, `JOBS` and `flags`. Times are RFC 3339."""
        record: dict[str, Any] = json.loads(self.body)
        return record


@dataclass(frozen=True, slots=True)
class Plant:
    """All machines of a feed as one query saw them. `as_of` is when that query started (aware UTC)."""

    generation: int
    as_of: datetime
    machines: tuple[Machine, ...]
    tally: Tally
    query_ms: float
    by_id: Mapping[str, Machine] = field(init=False, repr=False)
    categories: Mapping[Category, int] = field(init=False)

    def __post_init__(self) -> None:
        by_id = {machine.resource_id: machine for machine in self.machines}
        counts = Counter(machine.category for machine in self.machines)
        object.__setattr__(self, "by_id", MappingProxyType(by_id))
        object.__setattr__(self, "categories", MappingProxyType({each: counts[each] for each in Category}))

    def select(
        self,
        category: str | None = None,
        status: str | None = None,
        q: str | None = None,
        start: int = 0,
        *,
        object_category: str | None = None,
        lot: str | None = None,
    ) -> Iterator[Machine]:
        """Machines of a category and a status whose EQUIPMENTID contains `q`, of an OBJECTCATEGORY, with a lot on
        them; the last three ignore upper and lower case. None matches all.

        `start` is the index of the first machine to consider.
        """
        part = q.casefold() if q else None
        wanted_category = None if object_category is None else object_category.strip().casefold()
        mounted = None if lot is None else lot.strip().casefold()
        for machine in islice(self.machines, start, None):
            if category is not None and machine.category != category:
                continue
            if status is not None and machine.status != status:
                continue
            if part is not None and part not in (machine.equipment_id or "").casefold():
                continue
            if wanted_category is not None and wanted_category != (machine.object_category or "").casefold():
                continue
            if mounted is not None and not any(mounted == each.casefold() for each in machine.lots):
                continue
            yield machine

    def percent(self, of: Iterable[Category], over: Iterable[Category]) -> float | None:
        """Machines in `of` per hundred in `over`, one decimal; None when there are none."""
        total = sum(self.categories[each] for each in over)
        return round(100 * sum(self.categories[each] for each in of) / total, 1) if total else None


def machine_of(record: Record) -> Machine:
    """The machine of an aggregated record."""
    return _machine(record, json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=rfc3339).encode())


def _machine(record: Mapping[str, Any], body: bytes) -> Machine:
    return Machine(
        record["RESOURCEID"],
        record["EQUIPMENTID"],
        record["EQUIPMENTASSETSSTATUS"],
        record["EQUIPMENTASSETSSTATUSREASON"],
        Category(record["STATUS_CATEGORY"]),
        record["LOT_COUNT"],
        body,
        record["OBJECTCATEGORY"],
        tuple(lot["RUNCARDLOTID"] for lot in record["LOT_DETAILS"]),
    )


def dump_plant(plant: Plant) -> bytes:
    """One line for the plant and one per machine, so that other threads run between the lines."""
    head = {
        "generation": plant.generation,
        "as_of": plant.as_of.isoformat(),
        "query_ms": plant.query_ms,
        "tally": asdict(plant.tally),
    }
    return b"\n".join([json.dumps(head).encode(), *(machine.body for machine in plant.machines)])


def parse_plant(payload: bytes) -> Plant:
    """The plant that `dump_plant` wrote. Raises ValueError for anything else."""
    first, *lines = payload.split(b"\n")
    try:
        head = json.loads(first)
        machines = tuple(_machine(json.loads(line), line) for line in lines)
        as_of = datetime.fromisoformat(head["as_of"])
        return Plant(head["generation"], as_of, machines, Tally(**head["tally"]), head["query_ms"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not a plant: {error!r}") from error


GONE = "no longer in the view"


def changes(feed_id: str, known: Mapping[str, str | None], plant: Plant) -> list[MachineChange]:
    """The status changes since `known`, with those of machines that are new or have left the view."""
    found = [
        MachineChange(subject_of(feed_id, machine.resource_id), old, machine.status, plant.as_of, machine.reason)
        for machine in plant.machines
        if (old := known.get(machine.resource_id)) != machine.status
    ]
    return found + [
        MachineChange(subject_of(feed_id, resource_id), old, None, plant.as_of, GONE)
        for resource_id, old in known.items()
        if resource_id not in plant.by_id and old is not None
    ]


def subject_of(feed_id: str, resource_id: str) -> str:
    """The subject of a machine in history and alerts."""
    return f"equipment/{feed_id}/{resource_id}"
