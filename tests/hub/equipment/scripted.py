"""A scripted database for tests: it answers, hangs or fails as configured, and counts."""

from typing import Any

import anyio

from alerts.model.sample import Sample
from hub.equipment.announce import Callbacks
from hub.equipment.feed import EquipmentFeed
from hub.equipment.source import ViewSource
from hub.oracle.connection import Binds, Connection, FetchMode, OracleError, OracleUnavailable, Rows
from hub.oracle.lanes import Deadlines, SyncLane
from hub.readings.snapshot import MachineChange
from hub.runtime.clock import Clock
from tests.hub.equipment.plant import view_rows


class ScriptedView:
    """A view with rows of a test's choosing."""

    def __init__(self, *cells: dict[str, Any]) -> None:
        self.rows = view_rows(*cells)
        self.fails: OracleError | None = None
        self.hangs = False
        self.asked = anyio.Event()
        self.asked_at: list[float] = []
        self.terminated = 0
        self.gone = anyio.Event()
        self.takes_s = 0.0

    def show(self, *cells: dict[str, Any]) -> None:
        """What the view has from now on."""
        self.rows = view_rows(*cells)

    @property
    def queries(self) -> int:
        """How often it was asked."""
        return len(self.asked_at)

    async def connect(self) -> Connection:
        self.gone = anyio.Event()
        return self

    async def fetch(self, sql: str, binds: Binds | None = None, mode: FetchMode = FetchMode.PLAIN) -> Rows:
        self.asked_at.append(anyio.current_time())
        self.asked.set()
        if self.takes_s:
            await anyio.sleep(self.takes_s)
        if self.hangs:
            await self.gone.wait()
            raise OracleUnavailable("DPY-1001", "not connected")
        if self.fails:
            raise self.fails
        return self.rows

    async def close(self) -> None:
        pass

    def terminate(self) -> None:
        self.terminated += not self.gone.is_set()
        self.gone.set()

    def source(self, query_s: float = 5.0) -> ViewSource:
        """The source of a feed."""
        return ViewSource(SyncLane(self.connect, Deadlines(query_s=query_s)), "select")


def machine(number: int, status: str | None = "PRD", **cells: Any) -> dict[str, Any]:
    """One row of machine `number`."""
    name = {"RESOURCEID": f"{number:016x}", "EQUIPMENTID": f"GWBK-{number:04d}", "EQUIPMENTASSETSSTATUS": status}
    return name | cells


def machines(count: int, status: str = "PRD") -> list[dict[str, Any]]:
    """Rows of `count` machines."""
    return [machine(number, status) for number in range(count)]


class SetClock(Clock):
    """A clock that also moves by hand."""

    ahead_s = 0.0

    def steady(self) -> float:
        return super().steady() + self.ahead_s


class Heard:
    """Everything a feed told its listeners."""

    def __init__(self) -> None:
        self.changes: list[MachineChange] = []
        self.samples: list[Sample] = []
        self.chunks: list[int] = []
        self.stale: list[tuple[str, bool, str | None]] = []
        self.refused: list[tuple[str, str | None]] = []

    def callbacks(self) -> Callbacks:
        return Callbacks(
            self.changes.append,
            self.hear_samples,
            lambda *told: self.stale.append(told),
            lambda *told: self.refused.append(told),
        )

    def hear_samples(self, samples: list[Sample]) -> None:
        self.samples += samples
        self.chunks.append(len(samples))


def feed(view: ScriptedView, interval_s: float = 300.0, **options: Any) -> EquipmentFeed:
    """A feed `fab` of a view."""
    return EquipmentFeed("fab", view.source(), options.pop("clock", Clock()), interval_s, **options)
