"""Implements `Instrument` for an instrument of lines."""

from collections.abc import Callable, Mapping
from datetime import datetime

from alerts.model.metrics import Metric
from hub.instruments.exchange import LinkStatistics, Priority, Received
from hub.instruments.instrument import Identity, OnChange, OnSettings
from hub.instruments.setting import Setting
from hub.instruments.unit_config import UnitConfig
from hub.line.config import LineConfig
from hub.line.fields import Form, by_columns, by_pattern
from hub.line.link import LineLink, LinkOptions
from hub.readings.reading import QuantityReading
from hub.readings.snapshot import RunState, Snapshot
from hub.runtime.clock import Clock

_OF_THE_LINK = (
    "host", "port", "ask", "end", "pattern", "columns", "separator", "decimal", "push_within", "timeouts",
    "reconnect",
)  # fmt: skip


class LineInstrument:
    """The link to one instrument. It has no settings, no runs and no identity that the hub can read."""

    def __init__(self, config: LineConfig, clock: Clock, on_change: OnChange, on_settings: OnSettings) -> None:
        self.link = LineLink(link_options(config), clock)
        self._config = config
        self._metrics = metrics(config)

    @property
    def quantities(self) -> Mapping[str, Metric]:
        """Those of the configuration."""
        return self._metrics

    @property
    def symbols(self) -> Mapping[str, str]:
        """Their names in the configuration."""
        return symbols(self._config, {})

    @property
    def settings(self) -> Mapping[str, Setting]:
        """None: nothing is known of how the instrument is set."""
        return {}

    @property
    def identity(self) -> Identity:
        """Unknown."""
        return Identity()

    @property
    def is_connected(self) -> bool:
        """True while the socket is open."""
        return self.link.is_connected

    @property
    def retry_in_s(self) -> float:
        """Seconds until a connect may be tried; 0 while connected."""
        return self.link.retry_in_s

    def statistics(self) -> LinkStatistics:
        """What there is to know of the link, for people."""
        return self.link.statistics()

    def configure(self, config: UnitConfig) -> bool:
        """Apply another configuration; False where it needs another link."""
        if not isinstance(config, LineConfig) or _of_the_link(config) != _of_the_link(self._config):
            return False
        self._config, self._metrics = config, metrics(config)
        return True

    def resume(self, latest: Snapshot | None, settings: Mapping[str, Setting]) -> None:
        """Nothing of what was known before a restart matters to the link."""

    def limit_pauses(self, cap_s: float) -> None:
        """Pause for `cap_s` at most between connects, unless the instrument answers badly."""
        self.link.limit_pauses(cap_s)

    def rest_until(self, time: float) -> None:
        """Open no socket before `time` (steady clock, seconds)."""
        self.link.rest_until(time)

    async def run(self) -> None:
        """Own the instrument's socket until cancelled."""
        await self.link.run()

    async def poll(
        self, priority: Priority, wanted: Callable[[], bool] | None = None, patience_s: float = 0.0
    ) -> Received:
        """The next line as a reading. Raises LinkDown or NotWanted."""
        line, took_s = await self.link.poll(priority, wanted, patience_s)
        values = {name: line.values.get(name) for name in self._metrics}
        return Received(QuantityReading(values, self._metrics, line.raw), line.time, took_s)

    async def ask_question(self, priority: Priority, cadence_s: float, round_s: float) -> bool:
        """There is nothing else to ask."""
        return False

    def run_state(self, now_s: float) -> RunState | None:
        """It has no runs."""
        return None

    @property
    def run_started_at(self) -> datetime | None:
        """It has no runs."""
        return None


def metrics(config: LineConfig) -> dict[str, Metric]:
    """The quantities of a unit, by name."""
    return {
        name: Metric(
            name,
            quantity.name,
            quantity.unit,
            quantity.decimals,
            None if quantity.mean == "none" else quantity.mean,
        )
        for name, quantity in config.quantities.items()
    }


def symbols(config: LineConfig, settings: Mapping[str, str | None]) -> dict[str, str]:
    """What people call the quantities of a unit."""
    return {name: quantity.name or name for name, quantity in config.quantities.items()}


def form_of(config: LineConfig) -> Form:
    """How the lines of a unit are read."""
    if config.pattern is not None:
        return by_pattern(config.pattern, config.decimal)
    return by_columns(config.columns or (), config.separator, config.decimal)


def link_options(config: LineConfig) -> LinkOptions:
    """What the link of a unit is made of."""
    return LinkOptions(
        host=config.host,
        port=config.port,
        ask=config.ask_bytes,
        end=config.end_bytes,
        form=form_of(config),
        gap_s=config.poll.gap,
        connect_timeout_s=config.timeouts.connect,
        line_within_s=config.push_within if config.ask is None else config.timeouts.reply,
        reconnect_s=config.reconnect,
    )


def _of_the_link(config: LineConfig) -> tuple[object, ...]:
    return config.poll.gap, *(getattr(config, name) for name in _OF_THE_LINK)
