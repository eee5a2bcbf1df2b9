"""One hub's equipment feed in a process of its own: writes a line per question to the view and per answer.

Arguments: Redis URL, prefix, interval in seconds, duration of a query in seconds, log file.
"""

import os
import sys
import time
from pathlib import Path

import anyio

from hub.cache.redis import open_redis
from hub.equipment.feed import EquipmentFeed
from hub.equipment.source import ViewSource
from hub.oracle.connection import Binds, Connection, FetchMode, Rows
from hub.oracle.lanes import SyncLane
from hub.runtime.clock import Clock
from tests.hub.equipment.plant import view_rows
from tests.hub.equipment.scripted import machines


class LoggedView:
    """A view whose use is visible from outside."""

    def __init__(self, log: Path, takes_s: float) -> None:
        self._log = log
        self._takes_s = takes_s

    async def connect(self) -> Connection:
        return self

    async def fetch(self, sql: str, binds: Binds | None = None, mode: FetchMode = FetchMode.PLAIN) -> Rows:
        self.note("ask")
        await anyio.sleep(self._takes_s)
        self.note("answer")
        return view_rows(*machines(20))

    async def close(self) -> None:
        pass

    def terminate(self) -> None:
        pass

    def note(self, what: str) -> None:
        """One line: time, process, what."""
        with self._log.open("a") as log:
            log.write(f"{time.time()} {os.getpid()} {what}\n")


async def main(*arguments: str) -> None:
    """Run until killed."""
    url, prefix, interval, takes, log = arguments
    view = LoggedView(Path(log), float(takes))
    async with open_redis(url, prefix) as redis:
        source = ViewSource(SyncLane(view.connect), "select")
        view.note("start")
        await EquipmentFeed("fab", source, Clock(), float(interval), redis).run()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
