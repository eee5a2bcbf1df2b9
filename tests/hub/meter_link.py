"""A link to a simulated meter without sockets: in virtual time, with the gap the meter needs."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from hub.instruments.exchange import NotWanted, Priority
from hub.nl43.commands import Command
from hub.nl43.config import NL43Config
from hub.nl43.dialogue import Answer
from hub.nl43.protocol import Result
from hub.readings.snapshot import Event
from hub.runtime.clock import Clock
from hub.simulators.nl43.meter import Meter
from hub.simulators.nl43.options import MeterOptions
from hub.simulators.nl43.waveform import RandomWalk
from hub.units.monitor import run_unit
from hub.units.unit import Unit
from tests.hub.fake_link import FakeLink, linked


class MeterLink(FakeLink):
    """What is sent goes to `meter`; `reconnect` loses the connection and has a new one at once."""

    def __init__(self, clock: Clock, gap_s: float = 1.0, latency_s: float = 0.01, **options: Any) -> None:
        super().__init__(clock, latency_s)
        self.gap_s = gap_s
        self.next_s = 0.0
        self.unknown: set[str] = set()
        self.meter = self.new_meter(**options)

    def new_meter(self, **options: Any) -> Meter:
        """A meter that hears a level that wanders."""
        options = {"waveform": RandomWalk(mean=60.0, seed=1), "running": True, **options}
        return Meter(MeterOptions(**options), self.clock.steady())

    def reconnect(self) -> None:
        self.connects += 1

    async def request(
        self,
        command: Command,
        parse: Callable[[str], Any],
        priority: Priority,
        wanted: Callable[[], bool] | None = None,
        patience_s: float = 0.0,
    ) -> Answer[Any]:
        await anyio.sleep(max(0.0, self.next_s - self.clock.steady()))
        if wanted is not None and not wanted():
            raise NotWanted
        sent_s = self.clock.steady()
        self.asked.append((sent_s, command.line, priority))
        await anyio.sleep(self.latency_s)
        now_s = self.clock.steady()
        self.next_s = now_s + self.gap_s
        code, line, _ = self.meter.execute(command.line, now_s)
        result = Result.COMMAND if command.line in self.unknown else Result(code)
        is_data = result.ok and line is not None
        return Answer(result, parse(line or "") if is_data else None, now_s, now_s - sent_s)

    def questions(self) -> list[tuple[float, str]]:
        """What was sent besides polls, and when."""
        return [(at, line) for at, line, _ in self.asked if line != "DOD?"]

    def lines(self) -> list[str]:
        return [line for _, line in self.questions()]


@asynccontextmanager
async def watched_unit(link: MeterLink, **config: Any) -> AsyncIterator[tuple[Unit, list[Event]]]:
    """A unit that is polled at its `watched` cadence while the block lasts."""
    events: list[Event] = []
    unit_config = NL43Config(**{"id": "gate-a", "host": "meter", **config})
    unit = Unit(unit_config, link.clock, events.append, linked(unit_config, link, link.clock))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_unit, unit, link.clock, 0.0)
        with unit.watch(1):
            yield unit, events
        tasks.cancel_scope.cancel()
