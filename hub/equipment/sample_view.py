"""A simulated plant for demonstrations: its machines change state by themselves; it is read like the real view."""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from heapq import nsmallest
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

from anyio import to_thread

from hub.equipment.view import COLUMNS
from hub.oracle.connection import Binds, Connection, FetchMode, Rows
from hub.runtime.clock import Clock

KINDS = (
    ("GWBK", "ASSEMBLY", "Wire Bond"),
    ("GDBA", "ASSEMBLY", "Epoxy D/B"),
    ("GMLD", "ASSEMBLY", "Molding"),
    ("GTMF", "ASSEMBLY", "Trim/Form"),
    ("GWSR", "WAFERSORT", "Wafer Sort"),
)
STATUSES = (
    ("PRD", "Production RUN", 62),
    ("SBY", "Waiting for material", 16),
    ("UDT", "Vacuum low", 7),
    ("SDT", "Preventive maintenance", 5),
    ("EGT", "Engineering run", 4),
    ("NST", "No plan", 4),
    ("SCRAP", None, 1),
    ("設備-LOST", None, 1),
)
_EVERY_STATUS = [(status, reason) for status, reason, weight in STATUSES for _ in range(weight)]
"""Each status as often as its weight."""

DWELL_S = (60.0, 1800.0)
"""Bounds, in seconds, of the time that a machine stays in one state; each machine has its own."""

SECOND_LOTS = 184 / 2600
"""Second lots per machine: the real view has 2,784 rows of 2,600 machines."""


class _Machine(NamedTuple):
    seed: str
    resource_id: str
    equipment_id: str
    category: str
    spec: str
    dwell_s: float
    phase_s: float


class _Period(NamedTuple):
    machine: _Machine
    seed: str
    since: datetime
    status: str
    reason: str | None
    rank: int  # among the running machines, of which the first have a second lot


class SampleView:
    """A state follows from seed and time, so every process with the same seed shows the same plant."""

    def __init__(self, machines: int, seed: int, clock: Clock) -> None:
        self._clock = clock
        self._second_lots = round(machines * SECOND_LOTS)
        random = Random(seed)
        self._machines = [_machine(number, seed, random) for number in range(machines)]

    async def connect(self) -> Connection:
        """A connection to the plant, for a lane."""
        return self

    async def fetch(self, sql: str, binds: Binds | None = None, mode: FetchMode = FetchMode.PLAIN) -> Rows:
        """All rows of the view, for any statement."""
        return Rows(COLUMNS, await to_thread.run_sync(self.rows_at, self._clock.now()))

    async def close(self) -> None:
        """Do nothing: there is no session."""

    def terminate(self) -> None:
        """Do nothing: there is no socket."""

    def rows_at(self, at: datetime) -> list[tuple[Any, ...]]:
        """The rows at an instant, as the driver returns them: padded ids, times without a zone.

        The number of second lots is constant: always 2,784 rows for 2,600 machines.
        """
        periods = [_period(machine, at.astimezone(UTC)) for machine in self._machines]
        running = [period for period in periods if period.status == "PRD"]
        shared = {period.machine for period in nsmallest(self._second_lots, running, key=attrgetter("rank"))}
        return [row for period in periods for row in _rows(period, has_second_lot=period.machine in shared)]


def _machine(number: int, seed: int, random: Random) -> _Machine:
    prefix, category, spec = random.choice(KINDS)
    return _Machine(
        f"{seed}.{number}",
        f"{0x4880168000000000 + number:016x}",
        f"{prefix}-{number:04d}",
        category,
        spec,
        random.uniform(*DWELL_S),
        random.uniform(0, DWELL_S[1]),
    )


def _period(machine: _Machine, at: datetime) -> _Period:
    number, into_s = divmod(at.timestamp() + machine.phase_s, machine.dwell_s)
    seed = f"{machine.seed}.{number:.0f}"
    rank, at_status = divmod(int.from_bytes(blake2b(seed.encode(), digest_size=8).digest()), len(_EVERY_STATUS))
    since = (at - timedelta(seconds=into_s)).replace(microsecond=0, tzinfo=None)
    return _Period(machine, seed, since, *_EVERY_STATUS[at_status], rank)


def _rows(period: _Period, has_second_lot: bool) -> list[tuple[Any, ...]]:
    machine, random = period.machine, Random(period.seed)
    common: dict[str, Any] = {
        "RESOURCEID": machine.resource_id,
        "EQUIPMENTID": machine.equipment_id,
        "OBJECTCATEGORY": machine.category,
        "EQUIPMENTASSETSSTATUS": period.status,
        "EQUIPMENTASSETSSTATUSREASON": period.reason,
    }
    if period.status == "PRD":
        return [_cells(common | _lot(machine, random, period.since)) for _ in range(1 + has_second_lot)]
    if period.status in ("UDT", "SDT"):
        number = random.randrange(10**9)
        is_repair = period.status == "UDT"
        common |= {
            "JOBORDER": f"MO-{number % 10_000:04d}",
            "JOBMODEL": "REPAIR" if is_repair else "PM",
            "JOBSTAGE": "Repair",
            "JOBID": f"5000{number:012d}",
            "JOBSTATUS": "Open",
            "CREATEDATE": period.since,
            "TECHNICIANUSERNAME": f"TECH {number % 40:02d}",
            "SYMPTOMCODE": "S-VAC" if is_repair else "S-PM",
        }
    return [_cells(common)]


def _lot(machine: _Machine, random: Random, since: datetime) -> dict[str, Any]:
    number = random.randrange(10**5)
    return {
        "RUNCARDLOTID": f"GA26{number:06d}-A00-{random.randrange(1, 20):03d}",
        "Package": random.choice(("SOT-23", "SOD-323", "DFN1006")),
        "Function": random.choice(("TVS/ESD", "Schottky", "MOSFET")),
        "TYPE": f"PX{number % 9000:04d}",
        "BOP": "ECA10",
        "WAFERLOTID": f"WLOT-{number:05d}#A1P",
        "SPEC": machine.spec,
        "WAFERMIL": "11/*11mil",
        "LOTTRACKINQTY_PCS": random.randrange(500, 60_000),
        "LOTTRACKINTIME": since,
        "LOTTRACKINEMPLOYEE": f"OP{number % 300:04d}",
    }


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in COLUMNS)
