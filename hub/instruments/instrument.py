"""The interface of a unit to its instrument, whatever the kind."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from alerts.model.metrics import Metric
from hub.instruments.exchange import LinkStatistics, Priority, Received
from hub.instruments.setting import Setting
from hub.instruments.unit_config import UnitConfig
from hub.readings.snapshot import RunState, Snapshot

OnChange = Callable[[str, str | None, str | None], None]
"""(what, old, new): something other than a value changed, such as a setting."""

OnSettings = Callable[[Mapping[str, Setting]], None]
"""All that is known of the instrument's settings, each time one was asked for."""


class Identity(NamedTuple):
    """Which instrument answers; None while unknown, or where its kind does not report it."""

    type: str | None = None
    serial_number: str | None = None


class Instrument(Protocol):
    """One instrument. `run` owns the connection; everything else may be called by other tasks of the same loop."""

    @property
    def quantities(self) -> Mapping[str, Metric]:
        """What it measures, by name and in the order in which it is shown."""

    @property
    def symbols(self) -> Mapping[str, str]:
        """How each quantity is called, as far as its settings are known: `lp` is `LAF`."""

    @property
    def settings(self) -> Mapping[str, Setting]:
        """Its own settings by name, as far as they are known; empty where its kind has none."""

    @property
    def identity(self) -> Identity:
        """Which instrument answers."""

    @property
    def is_connected(self) -> bool:
        """True while the connection is open."""

    @property
    def retry_in_s(self) -> float:
        """Seconds until a connect may be tried; 0 while connected."""

    def statistics(self) -> LinkStatistics:
        """The counters and the latest results of the connection."""

    def configure(self, config: UnitConfig) -> bool:
        """Apply another configuration; False, and nothing changed, where that needs another connection."""

    def resume(self, latest: Snapshot | None, settings: Mapping[str, Setting]) -> None:
        """Continue with the snapshot and the settings from before a restart."""

    def limit_pauses(self, cap_s: float) -> None:
        """Pause for about `cap_s` at most between connects from now on, the present pause included."""

    def rest_until(self, time: float) -> None:
        """Open no connection before `time` (steady clock, seconds)."""

    async def run(self) -> None:
        """Serve polls until cancelled; then close the connection and fail what still waits."""

    async def poll(
        self, priority: Priority, wanted: Callable[[], bool] | None = None, patience_s: float = 0.0
    ) -> Received:
        """The next reading, the most urgent request first. Raises LinkDown, Refused or NotWanted.

        `wanted` is called at the moment of sending. While the link pauses for longer than `patience_s` LinkDown is
        raised at once.
        """

    async def ask_question(self, priority: Priority, cadence_s: float, round_s: float) -> bool:
        """Ask one thing other than a reading, if it is time for it; False where nothing more is to be asked now.

        Polls are `cadence_s` apart, and the question delays the next one by `round_s`. A failure shows at the
        next poll.
        """

    def run_state(self, now_s: float) -> RunState | None:
        """Whether a run is on; None where that is unknown, and always where the kind has no runs."""

    @property
    def run_started_at(self) -> datetime | None:
        """When the run that `run_state` found to be on began; None where that is unknown."""


Connect = Callable[[OnChange, OnSettings], Instrument]
"""Makes the instrument of a unit; opens nothing."""
