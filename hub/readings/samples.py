"""What a unit says, as samples for the alerts: the one bridge between the two."""

from collections.abc import Iterable

from alerts.model.metrics import Metric, metric_of
from alerts.model.sample import Quality, Sample, WindowBasis
from hub.readings.snapshot import Event, PollFailure, Snapshot
from hub.readings.windows import LevelWindows, LpReading


def unit_subject(unit_id: str) -> str:
    """The subject of a unit."""
    return f"unit/{unit_id}"


class UnitSampler:
    """Turns the events of one unit into samples of the `metrics` that some rule needs, and of no others."""

    def __init__(self, unit_id: str, metrics: frozenset[str]) -> None:
        self._subject = unit_subject(unit_id)
        self._windows = LevelWindows(frozenset())
        self._plain: tuple[Metric, ...] = ()
        self._wants_reachable = False
        self.need(metrics)

    def need(self, metrics: frozenset[str]) -> bool:
        """Sample these metrics from now on. True when there are windows that begin empty: `refill` them."""
        wanted = [metric_of(name) for name in sorted(metrics)]
        self._plain = tuple(metric for metric in wanted if metric.sort in ("instant", "total"))
        self._wants_reachable = "reachable" in metrics
        windowed = frozenset(metric.name for metric in wanted if metric.sort == "window")
        if windowed == self._windows.metrics:
            return False
        self._windows = LevelWindows(windowed)
        return bool(windowed)

    def refill(self, readings: Iterable[LpReading], now_s: float) -> None:
        """Take stored readings, oldest first: a restart does not blind a window.

        What came while they were read stays behind them. Stored times follow the wall clock: those that lie
        ahead of `now_s`, as after it was set back, would keep out all that comes until then, and are left out.
        """
        self._windows = self._windows.after(readings, now_s)

    def basis(self, metric: str, now_s: float) -> WindowBasis:
        """What the window of a metric is made of now."""
        return next(
            (basis for name, _, basis in self._windows.levels(now_s) if name == metric), WindowBasis(0, 0.0)
        )

    def samples(self, event: Event) -> list[Sample]:
        """The samples of one event."""
        if isinstance(event, Snapshot):
            return self._of_snapshot(event)
        if isinstance(event, PollFailure) and self._wants_reachable and event.reachable is not None:
            reason = None if event.reachable else event.failure.value
            return [
                Sample(
                    self._subject, "reachable", event.reachable, event.at, event.time, Quality.OK, reason,
                    event.cadence_s,
                )
            ]  # fmt: skip
        return []

    def _of_snapshot(self, snapshot: Snapshot) -> list[Sample]:
        subject, at, time, cadence_s = self._subject, snapshot.at, snapshot.time, snapshot.cadence_s
        reading = snapshot.reading
        samples = []
        if self._wants_reachable:
            samples.append(Sample(subject, "reachable", True, at, time, Quality.OK, None, cadence_s))
        ranged = Quality.OVER if reading.over else Quality.UNDER if reading.under else Quality.OK
        for metric in self._plain:
            value = reading.value(metric.name)
            quality = Quality.MISSING if value is None else ranged
            if metric.sort == "total" and snapshot.run_state != "Start":
                quality = Quality.RUN_ENDED if snapshot.run_state == "Stop" else Quality.UNKNOWN_RUN
            samples.append(Sample(subject, metric.name, value, at, time, quality, None, cadence_s))
        if self._windows.metrics:
            self._windows.add(reading.value("lp"), time, cadence_s, bool(reading.under), bool(reading.over))
            for name, level, basis in self._windows.levels(time):
                quality = Quality.UNDER if basis.quality and Quality.UNDER in basis.quality else Quality.OK
                if level is None:
                    quality = Quality.MISSING
                samples.append(Sample(subject, name, level, at, time, quality, None, cadence_s, 0.0, basis))
        return samples
