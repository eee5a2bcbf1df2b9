"""A kind of instrument that the product does not know: two quantities, no settings, no runs, no questions."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Literal

import anyio

from alerts.model.metrics import Metric
from hub.instruments.exchange import LinkDown, LinkStatistics, Priority, Received
from hub.instruments.instrument import Identity, OnChange, OnSettings
from hub.instruments.kind import Finding, Kind
from hub.instruments.setting import Setting
from hub.instruments.unit_config import UnitConfig
from hub.readings.reading import QuantityReading
from hub.readings.snapshot import Event, Failure, RunState, Snapshot
from hub.runtime.clock import Clock
from hub.units.unit import Unit

DUST = {
    "pm10": Metric("pm10", "PM10", "µg/m³", 1),
    "flow": Metric("flow", unit="l/min", decimals=2, mean=None),
}


class DustConfig(UnitConfig):
    """A unit of the kind."""

    kind: Literal["dust"] = "dust"
    port: int = 4001


class DustInstrument:
    """Answers every poll after 50 ms with `values`; with None it is mute."""

    def __init__(self, config: DustConfig, clock: Clock, on_change: OnChange, on_settings: OnSettings) -> None:
        self.values: dict[str, float | None] | None = {"pm10": 12.5, "flow": 1.0}
        self._clock = clock

    @property
    def quantities(self) -> Mapping[str, Metric]:
        return DUST

    @property
    def symbols(self) -> Mapping[str, str]:
        return symbols({})

    @property
    def settings(self) -> Mapping[str, Setting]:
        return {}

    @property
    def identity(self) -> Identity:
        return Identity()

    @property
    def is_connected(self) -> bool:
        return self.values is not None

    @property
    def retry_in_s(self) -> float:
        return 0.0

    def statistics(self) -> LinkStatistics:
        return LinkStatistics(None, 1, None, None, None, {}, 0.0, 0, 0, 0, 0)

    def configure(self, config: UnitConfig) -> bool:
        return isinstance(config, DustConfig)

    def resume(self, latest: Snapshot | None, settings: Mapping[str, Setting]) -> None:
        pass

    def limit_pauses(self, cap_s: float) -> None:
        pass

    def rest_until(self, time: float) -> None:
        pass

    async def run(self) -> None:
        await anyio.sleep_forever()

    async def poll(
        self, priority: Priority, wanted: Callable[[], bool] | None = None, patience_s: float = 0.0
    ) -> Received:
        await anyio.sleep(0.05)
        if self.values is None:
            raise LinkDown(Failure.MUTE, "no answer", 1.0)
        return Received(QuantityReading(self.values, DUST, "dust line"), self._clock.steady(), 0.05)

    async def ask_question(self, priority: Priority, cadence_s: float, round_s: float) -> bool:
        return False

    def run_state(self, now_s: float) -> RunState | None:
        return None

    @property
    def run_started_at(self) -> datetime | None:
        return None


def symbols(settings: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: metric.symbol or name for name, metric in DUST.items()}


async def probe(config: DustConfig, report: Callable[[Finding], None]) -> bool:
    return True


KIND = Kind(
    name="dust",
    config=DustConfig,
    quantities=lambda config: DUST,
    written_quantities=lambda unit: DUST,
    symbols=lambda config, settings: symbols(settings),
    connect=DustInstrument,
    probe=probe,
)


def dust_unit(clock: Clock, publish: Callable[[Event], None]) -> tuple[Unit, DustInstrument]:
    """A unit of the kind, made as the fleet makes one, and its instrument."""
    config = DustConfig(id="dust", host="sensor")
    unit = Unit(config, clock, publish, partial(KIND.connect, config, clock))
    assert isinstance(unit.instrument, DustInstrument)
    return unit, unit.instrument
