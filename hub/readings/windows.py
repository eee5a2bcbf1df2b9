"""Levels over a sliding window: LAeq and the levels exceeded 10 and 90 % of the time, from the readings of Lp.

A window weighs time, not readings, and knows what it was made of (`WindowBasis`). It has a value only where
readings cover enough of it and there are enough of them: one reading a minute is no LAeq,1min.
"""

from array import array
from collections.abc import Iterable, Iterator
from math import log10
from typing import NamedTuple

from alerts.model.sample import Quality, WindowBasis
from hub.readings.ranking import Ranking

COVERAGE_NEEDED = 0.75
"""A window counts as measured when readings cover at least this much of it."""

READINGS_NEEDED = 10
"""And when it holds at least so many readings, whatever they cover."""

LOWER_END_DB, UPPER_END_DB = 20.0, 140.0
"""The ends of the range (class of the NL-42/52), for a meter that has shown none of its own."""

_STANDS_FOR = 1.5  # intervals: longer ones are gaps, of which a reading covers only so much
_RESUM_EVERY = 1000
_PER_S = 1_000_000  # weights are whole microseconds: sums of them have no rounding errors that pile up
_UNDER, _OVER = 1, 2


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


class LpReading(NamedTuple):
    """An Lp in dB at a time in steady seconds, and how soon the reading after it could be had then."""

    lp: float | None
    time: float
    cadence_s: float
    under: bool = False
    over: bool = False


class _Running:
    """The sums of one window over the readings at positions `first` and up."""

    __slots__ = ("adds", "energy", "first", "needed", "over", "ranking", "seconds", "under", "weight", "whole")

    def __init__(self, seconds: float, percents: frozenset[int]) -> None:
        self.seconds = seconds
        self.whole = seconds * _PER_S
        self.needed = COVERAGE_NEEDED * self.whole
        self.first = 0
        self.weight = 0  # microseconds
        self.energy = 0.0
        self.under = 0  # readings that were
        self.over = 0
        self.ranking = Ranking(percents) if percents else None
        self.adds = 0

    @property
    def quality(self) -> tuple[str, ...]:
        """What is said of some of the readings."""
        if not self.under and not self.over:
            return ()
        return tuple(str(q) for q, count in ((Quality.UNDER, self.under), (Quality.OVER, self.over)) if count)


class LevelWindows:
    """The windowed metrics of one unit, fed with its readings in the order of their time.

    A reading stands for the time since the one before it, at most 1.5 of the intervals that could be had; the
    rest is not covered. An interval is as long as the slower of the cadences at its two ends: a viewer may have
    cut a slow one short, and a meter that takes its time makes one longer than was asked for.

    A level under the range counts as the range's lower end, which is what the meter shows then, and over it as
    the upper: quiet minutes are part of the mean, and so are the loudest. Where the meter shows no level it counts
    as the one it showed last out of that end. Both are flagged in the basis, as the truth lies beyond.
    """

    def __init__(self, metrics: frozenset[str]) -> None:
        self._running: list[_Running] = []
        self._metrics: list[tuple[_Running, list[tuple[str, int | None]]]] = []
        for seconds in sorted({WINDOWS[name].seconds for name in metrics}):
            here = [
                (name, WINDOWS[name].percentile) for name in sorted(metrics) if WINDOWS[name].seconds == seconds
            ]
            self._running.append(_Running(seconds, frozenset(p for _, p in here if p is not None)))
            self._metrics.append((self._running[-1], here))
        self._times = array("d")
        self._weights = array("q")  # microseconds
        self._levels = array("d")
        self._energies = array("d")  # weight * 10^(lp/10)
        self._flags = array("B")  # _UNDER and _OVER
        self._cadence_s = 0.0  # of the newest reading
        self._lower_end_db: float | None = None  # as the meter has shown it
        self._upper_end_db: float | None = None

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics kept."""
        return frozenset(name for _, metrics in self._metrics for name, _ in metrics)

    def add(self, lp: float | None, time: float, cadence_s: float, under: bool = False, over: bool = False) -> None:
        """Take a reading of Lp in dB at a steady time in seconds; one without a level counts where out of range."""
        if over:
            self._upper_end_db = end_db = self._upper_end_db if lp is None else lp
            lp = UPPER_END_DB if end_db is None else end_db
        elif under:
            self._lower_end_db = end_db = self._lower_end_db if lp is None else lp
            lp = LOWER_END_DB if end_db is None else end_db
        if lp is None:
            return
        interval_s = max(cadence_s, self._cadence_s)
        weight_s = min(time - self._times[-1], _STANDS_FOR * interval_s) if self._times else cadence_s
        weight = round(weight_s * _PER_S)
        if weight > 0:
            self._append(lp, time, weight, _UNDER * under | _OVER * over)
            self._cadence_s = cadence_s
            self._expire(time)

    def after(self, readings: Iterable[LpReading], now: float) -> "LevelWindows":
        """The same windows with readings, such as stored ones, that lie before all there are, and before now."""
        joined = LevelWindows(self.metrics)
        began_s = self._times[0] if self._times else now
        for reading in readings:
            if reading.time < began_s:
                joined.add(*reading)
        for each in zip(self._levels, self._times, self._weights, self._flags, strict=True):
            joined._append(*each)
        if self._times:
            joined._cadence_s = self._cadence_s
        joined._lower_end_db = joined._lower_end_db if self._lower_end_db is None else self._lower_end_db
        joined._upper_end_db = joined._upper_end_db if self._upper_end_db is None else self._upper_end_db
        return joined

    def levels(self, now: float) -> Iterator[tuple[str, float | None, WindowBasis]]:
        """Each metric with its level in dB and what that is made of.

        The level is None where readings are too few or cover too little of the window; a mean has one decimal.
        """
        self._expire(now)
        for running, metrics in self._metrics:
            samples, weight = len(self._times) - running.first, running.weight
            is_measured = weight >= running.needed and samples >= READINGS_NEEDED and running.energy > 0
            coverage = round(weight / running.whole, 2)
            basis = WindowBasis(samples, coverage if coverage < 1.0 else 1.0, running.quality)
            for name, percentile in metrics:
                if not is_measured:
                    yield name, None, basis
                elif percentile is None:
                    yield name, round(10 * log10(running.energy / weight), 1), basis
                else:
                    assert running.ranking is not None
                    yield name, running.ranking.exceeded(percentile), basis

    def values(self, now: float) -> dict[str, float | None]:
        """The levels alone."""
        return {name: level for name, level, _ in self.levels(now)}

    def _append(self, lp: float, time: float, weight: int, flags: int) -> None:
        energy = weight * 10.0 ** (lp / 10)
        self._times.append(time)
        self._weights.append(weight)
        self._levels.append(lp)
        self._energies.append(energy)
        self._flags.append(flags)
        for running in self._running:
            running.adds += 1
            running.weight += weight
            running.energy += energy
            if flags:
                running.under += flags & _UNDER
                running.over += flags >> 1
            if running.ranking is not None:
                running.ranking.add(lp, weight)

    def _expire(self, now: float) -> None:
        times = self._times
        for running in self._running:
            horizon = now - running.seconds
            while running.first < len(times) and times[running.first] <= horizon:
                at = running.first
                running.first += 1
                weight, flags = self._weights[at], self._flags[at]
                running.weight -= weight
                running.energy -= self._energies[at]
                if flags:
                    running.under -= flags & _UNDER
                    running.over -= flags >> 1
                if running.ranking is not None:
                    running.ranking.add(self._levels[at], -weight)
            if running.adds >= _RESUM_EVERY or running.first == len(times):
                running.adds = 0
                running.energy = sum(self._energies[running.first :])  # without what rounding has left
        self._forget_what_no_window_needs()

    def _forget_what_no_window_needs(self) -> None:
        unneeded = min((r.first for r in self._running), default=0)
        if unneeded > 256:
            for column in (self._times, self._weights, self._levels, self._energies, self._flags):
                del column[:unneeded]
            for running in self._running:
                running.first -= unneeded
