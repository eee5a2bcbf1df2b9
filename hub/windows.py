"""Levels over a sliding window: LAeq and the levels exceeded 10 and 90 % of the time, from the readings of Lp."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator
from math import log10
from typing import NamedTuple

COVERAGE_NEEDED = 0.75
"""A window counts as measured when readings cover at least this much of it."""

_RESUM_EVERY = 1000


class Window(NamedTuple):
    """A windowed metric: `percentile` None is the energy mean, 10 the level exceeded 10 % of the time."""

    seconds: float
    percentile: int | None


WINDOWS = {
    "laeq_1m": Window(60.0, None),
    "laeq_5m": Window(300.0, None),
    "laeq_15m": Window(900.0, None),
    "laeq_1h": Window(3600.0, None),
    "la10_15m": Window(900.0, 10),
    "la90_15m": Window(900.0, 90),
}


class _Running:
    """The sums of one window over the readings at positions `first` and up."""

    __slots__ = ("adds", "energy", "first", "levels", "seconds", "weight")

    def __init__(self, seconds: float, is_sorted: bool) -> None:
        self.seconds = seconds
        self.first = 0
        self.weight = 0.0
        self.energy = 0.0
        self.levels: array[float] | None = array("d") if is_sorted else None
        self.adds = 0


class LevelWindows:
    """The windowed metrics of one unit, fed with its readings in the order of their time.

    A reading stands for the time since the one before it, at most 1.5 cadences; the rest is not covered.
    """

    def __init__(self, metrics: frozenset[str]) -> None:
        self._metrics = {name: WINDOWS[name] for name in sorted(metrics)}
        seconds = {w.seconds for w in self._metrics.values()}
        ranked = {w.seconds for w in self._metrics.values() if w.percentile is not None}
        self._running = {s: _Running(s, s in ranked) for s in seconds}
        self._longest = max(seconds, default=0.0)
        self._times = array("d")
        self._weights = array("d")
        self._levels = array("d")

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics kept."""
        return frozenset(self._metrics)

    def add(self, lp: float, time: float, cadence_s: float) -> None:
        """Take a reading of Lp in dB at a steady time in seconds."""
        last = self._times[-1] if self._times else time - cadence_s
        weight = min(time - last, 1.5 * cadence_s)
        if weight <= 0:
            return
        self._times.append(time)
        self._weights.append(weight)
        self._levels.append(lp)
        energy = weight * 10.0 ** (lp / 10)
        for running in self._running.values():
            running.weight += weight
            running.energy += energy
            running.adds += 1
            if running.levels is not None:
                insort(running.levels, lp)
        self._expire(time)

    def readings(self) -> Iterator[tuple[float, float, float]]:
        """What some window may still need, as `add` takes it: dB, time, a cadence that gives the weight."""
        for lp, time, weight in zip(self._levels, self._times, self._weights, strict=True):
            yield lp, time, weight / 1.5

    def values(self, now: float) -> dict[str, float | None]:
        """dB per metric, one decimal; None where readings cover too little of the window."""
        self._expire(now)
        return {name: self._value(window) for name, window in self._metrics.items()}

    def _value(self, window: Window) -> float | None:
        running = self._running[window.seconds]
        if running.weight < COVERAGE_NEEDED * window.seconds or running.energy <= 0:
            return None
        if window.percentile is None:
            return round(10 * log10(running.energy / running.weight), 1)
        levels = running.levels
        assert levels is not None
        return levels[int((len(levels) - 1) * (100 - window.percentile) / 100)]

    def _expire(self, now: float) -> None:
        times, weights, levels = self._times, self._weights, self._levels
        for running in self._running.values():
            horizon = now - running.seconds
            while running.first < len(times) and times[running.first] <= horizon:
                lp, weight = levels[running.first], weights[running.first]
                running.weight -= weight
                running.energy -= weight * 10.0 ** (lp / 10)
                running.first += 1
                if running.levels is not None:
                    del running.levels[bisect_left(running.levels, lp)]
            if running.adds >= _RESUM_EVERY or running.first == len(times):
                self._resum(running)
        self._forget_what_no_window_needs()

    def _resum(self, running: _Running) -> None:
        """Sum afresh, so that rounding errors of what came and went do not pile up."""
        running.adds = 0
        running.weight = sum(self._weights[running.first :])
        running.energy = sum(
            w * 10.0 ** (lp / 10)
            for w, lp in zip(self._weights[running.first :], self._levels[running.first :], strict=True)
        )

    def _forget_what_no_window_needs(self) -> None:
        unneeded = min((r.first for r in self._running.values()), default=0)
        if unneeded > 256:
            for column in (self._times, self._weights, self._levels):
                del column[:unneeded]
            for running in self._running.values():
                running.first -= unneeded
