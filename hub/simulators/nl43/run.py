"""The totals of one measurement run: they grow while it runs, and stay unchanged afterwards."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from hub.simulators.nl43.waveform import Waveform

STEP_S = 0.1
_MAX_STEPS = 600  # a long time without a query is integrated in coarser steps
_PEAK_ABOVE_DB = 12.8


class Totals(NamedTuple):
    """dB, since the start of the run."""

    leq: float
    le: float
    lmax: float
    lmin: float
    ln: tuple[float, ...]
    lpeak: float


class Run:
    """A run begun at `start` (seconds), ending by itself after `preset_s` of measuring."""

    def __init__(self, start: float, preset_s: float | None) -> None:
        self.is_running = True
        self.is_paused = False
        self._preset_s = preset_s
        self._summed_to = start
        self._elapsed_s = 0.0
        self._energy = 0.0
        self._lmax = -math.inf
        self._lmin = math.inf
        self._spent_s: dict[int, float] = {}

    def advance(self, now: float, waveform: Waveform) -> None:
        """Integrate the level up to `now`."""
        span = now - self._summed_to
        if not self.is_running or span <= 0:
            return
        self._summed_to = now
        if self.is_paused:
            return
        if self._preset_s is not None and self._elapsed_s + span >= self._preset_s:
            now -= self._elapsed_s + span - self._preset_s
            span = self._preset_s - self._elapsed_s
            self.is_running = False
        count = min(_MAX_STEPS, max(1, round(span / STEP_S)))
        step = span / count
        for index in range(count, 0, -1):
            self._integrate(waveform(now - (index - 0.5) * step), step)
        self._elapsed_s += span

    def stop(self) -> None:
        self.is_running = self.is_paused = False

    def totals(self, percentiles: Sequence[int]) -> Totals | None:
        """None before the first tenth of a second."""
        if self._elapsed_s <= 0:
            return None
        leq = 10 * math.log10(self._energy / self._elapsed_s)
        return Totals(
            leq,
            leq + 10 * math.log10(self._elapsed_s),
            self._lmax,
            self._lmin,
            self._exceeded(percentiles),
            self._lmax + _PEAK_ABOVE_DB,
        )

    def _integrate(self, lp: float, step: float) -> None:
        self._energy += 10 ** (lp / 10) * step
        self._lmax = max(self._lmax, lp)
        self._lmin = min(self._lmin, lp)
        tenths = round(lp * 10)
        self._spent_s[tenths] = self._spent_s.get(tenths, 0.0) + step

    def _exceeded(self, percentiles: Sequence[int]) -> tuple[float, ...]:
        """The level exceeded that percentage of the time, for each."""
        levels = sorted(self._spent_s, reverse=True)
        above_s = list(accumulate(self._spent_s[level] for level in levels))
        last = len(levels) - 1
        found = (bisect_left(above_s, self._elapsed_s * percent / 100) for percent in percentiles)
        return tuple(levels[min(index, last)] / 10 for index in found)
