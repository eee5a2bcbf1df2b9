"""A database for tests: answers what it is told to, can hang or fail, and counts."""

from typing import Any

import anyio

from hub.equipment.source import ViewSource
from hub.oracle.connection import Binds, Connection, OracleError, Rows
from hub.oracle.lanes import Deadlines, SyncLane
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
        self.takes_s = 0.0

    def show(self, *cells: dict[str, Any]) -> None:
        """What the view has from now on."""
        self.rows = view_rows(*cells)

    @property
    def queries(self) -> int:
        """How often it was asked."""
        return len(self.asked_at)

    async def connect(self) -> Connection:
        return self

    async def fetch(self, sql: str, binds: Binds | None = None) -> Rows:
        self.asked_at.append(anyio.current_time())
        self.asked.set()
        if self.takes_s:
            await anyio.sleep(self.takes_s)
        if self.hangs:
            await anyio.sleep_forever()
        if self.fails:
            raise self.fails
        return self.rows

    async def close(self) -> None:
        pass

    def terminate(self) -> None:
        self.terminated += 1

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
