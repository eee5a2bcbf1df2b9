"""The levels that a simulated meter measures, as functions from seconds to dB."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from random import Random

Waveform = Callable[[float], float]
"""Seconds since the meter was switched on -> Lp in dB."""


def constant(lp: float) -> Waveform:
    """A constant level in dB."""
    return lambda _t: lp


def sine(mean: float, swing: float, period_s: float) -> Waveform:
    """`mean` ± `swing` dB."""
    turn = math.tau / period_s
    return lambda t: mean + swing * math.sin(turn * t)


def steps(table: Sequence[tuple[float, float]]) -> Waveform:
    """`[(t_s, lp), …]` in order of time: each level holds until the next one; before the first, the first."""
    if not table:
        raise ValueError("steps need at least one (seconds, level) pair")
    times = [t for t, _ in table]
    levels = [lp for _, lp in table]
    return lambda t: levels[max(0, bisect_right(times, t) - 1)]


class RandomWalk:
    """A random level around `mean`, in dB, that returns to it; the same seed always gives the same levels."""

    def __init__(self, mean: float = 50.0, stride: float = 0.8, seed: int = 0) -> None:
        self._mean, self._stride, self._seed = mean, stride, seed
        self._random = Random(seed)
        self._second = -1
        self._from = self._to = mean

    def __call__(self, t: float) -> float:
        second = max(0, int(t))
        if second < self._second:
            self._random.seed(self._seed)
            self._second = -1
            self._to = self._mean
        while self._second < second:
            self._second += 1
            self._from = self._to
            self._to += self._random.gauss(0.0, self._stride) + 0.02 * (self._mean - self._to)
        return self._from + (self._to - self._from) * (max(0.0, t) - second)
