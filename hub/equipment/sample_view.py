"""A plant for demonstration: machines that change state by themselves, read like the real view."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from anyio import to_thread

from hub.clock import Clock
from hub.equipment.view import COLUMNS
from hub.oracle.connection import Binds, Connection, Rows

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
DWELL_S = (60.0, 1800.0)
"""How long a machine stays in one state: each has its own figure between these."""


class _Machine(NamedTuple):
    seed: str
    resource_id: str
    equipment_id: str
    category: str
    spec: str
    dwell_s: float
    phase_s: float


class SampleView:
    """The same seed at the same time shows the same plant, in every process: a state follows from seed and time."""

    def __init__(self, machines: int, seed: int, clock: Clock) -> None:
        self._clock = clock
        random = Random(seed)
        self._machines = [_machine(number, seed, random) for number in range(machines)]

    async def connect(self) -> Connection:
        """A connection to the plant, for a lane."""
        return self

    async def fetch(self, sql: str, binds: Binds | None = None) -> Rows:
        """The whole view, whatever is asked for: about 107 rows for 100 machines."""
        return Rows(COLUMNS, await to_thread.run_sync(self.rows_at, self._clock.now()))

    async def close(self) -> None:
        """Nothing to log off from."""

    def terminate(self) -> None:
        """Nothing to drop."""

    def rows_at(self, at: datetime) -> list[tuple[Any, ...]]:
        """The rows of an instant, in the shape the driver gives them: padded ids, zone-less times."""
        return [row for machine in self._machines for row in _rows(machine, at.astimezone(UTC))]


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


def _rows(machine: _Machine, at: datetime) -> list[tuple[Any, ...]]:
    period, into_s = divmod(at.timestamp() + machine.phase_s, machine.dwell_s)
    random = Random(f"{machine.seed}.{period:.0f}")
    since = (at - timedelta(seconds=into_s)).replace(microsecond=0, tzinfo=None)
    status, reason, _ = random.choices(STATUSES, [weight for *_, weight in STATUSES])[0]
    common: dict[str, Any] = {
        "RESOURCEID": machine.resource_id,
        "EQUIPMENTID": machine.equipment_id,
        "OBJECTCATEGORY": machine.category,
        "EQUIPMENTASSETSSTATUS": status,
        "EQUIPMENTASSETSSTATUSREASON": reason,
    }
    if status in ("UDT", "SDT"):
        number = random.randrange(10**9)
        common |= {
            "JOBORDER": f"MO-{number % 10_000:04d}",
            "JOBMODEL": "REPAIR" if status == "UDT" else "PM",
            "JOBSTAGE": "Repair",
            "JOBID": f"5000{number:012d}",
            "JOBSTATUS": "Open",
            "CREATEDATE": since,
            "TECHNICIANUSERNAME": f"TECH {number % 40:02d}",
            "SYMPTOMCODE": "S-VAC" if status == "UDT" else "S-PM",
        }
    lots = random.choices((1, 2, 3), (90, 9, 1))[0] if status == "PRD" else 0
    return [_cells(common | _lot(machine, random, since)) for _ in range(lots)] or [_cells(common)]


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
