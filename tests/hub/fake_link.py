"""A link that answers without a meter: for tests of those who ask."""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio

from hub.instruments.exchange import LinkDown, NotWanted, Priority
from hub.instruments.instrument import Connect
from hub.instruments.unit_config import UnitConfig
from hub.nl43.commands import DOD, Command, Kind
from hub.nl43.config import NL43Config
from hub.nl43.dialogue import Answer
from hub.nl43.fields import parse_dod
from hub.nl43.instrument import NL43Instrument
from hub.nl43.link import Link
from hub.nl43.protocol import Result
from hub.nl43.session import Session
from hub.readings.snapshot import Failure
from hub.runtime.clock import Clock
from hub.units.unit import Unit
from tests.hub.nl43.scripted_meter import DOD_LINE

READING = parse_dod(DOD_LINE)


class FakeLink(Link):
    """Answers every command after `latency_s`. `failure` makes it fail, `refused` are lines it refuses.

    `asked` lists what was sent and when.
    """

    def __init__(self, clock: Clock, latency_s: float = 0.1, pause_s: float = 0.0) -> None:
        super().__init__("meter", 2255, clock)
        self.clock = clock
        self.latency_s = latency_s
        self.pause_s = pause_s
        self.failure: Failure | None = None
        self.result = Result.NORMAL
        self.refused: set[str] = set()
        self.answers: dict[str, str] = {"Measure?": "Start"}
        self.asked: list[tuple[float, str, Priority]] = []
        self.connects = 1
        self.failed_s = 0.0

    @property
    def is_connected(self) -> bool:
        return self.failure is None

    @property
    def retry_in_s(self) -> float:
        return max(0.0, self.failed_s + self.pause_s - self.clock.steady()) if self.failure else 0.0

    async def run(self) -> None:
        await anyio.sleep_forever()

    async def request(
        self,
        command: Command,
        parse: Callable[[str], Any],
        priority: Priority,
        wanted: Callable[[], bool] | None = None,
        patience_s: float = 0.0,
    ) -> Answer[Any]:
        if wanted is not None and not wanted():
            raise NotWanted
        self.asked.append((self.clock.steady(), command.line, priority))
        await anyio.sleep(self.latency_s)
        if self.failure is not None:
            self.failed_s = self.clock.steady()
            raise LinkDown(self.failure, "as told", self.pause_s)
        result = Result.STATUS if command.line in self.refused else self.result
        if result is not Result.NORMAL or command.kind is Kind.SETTING:
            return Answer(result, None, self.clock.steady(), self.latency_s)
        line = self.answers.get(command.line, "Off")
        value = READING if command == DOD else parse(line)
        return Answer(Result.NORMAL, value, self.clock.steady(), self.latency_s)

    def polls(self) -> list[float]:
        """When polls were sent."""
        return [at for at, line, _ in self.asked if line == "DOD?"]


def linked(config: UnitConfig, link: Link, clock: Clock) -> Connect:
    """What connects a unit to an NL-43 over this link."""
    assert isinstance(config, NL43Config)
    return partial(NL43Instrument, config, clock, link=link)


def meter_of(unit: Unit) -> NL43Instrument:
    """The NL-43 of a unit."""
    assert isinstance(unit.instrument, NL43Instrument)
    return unit.instrument


def session_of(unit: Unit) -> Session:
    """What the NL-43 of a unit was asked and answered."""
    return meter_of(unit).session
