"""Levels by the time spent at each, and the level that was exceeded so many percent of that time."""

from bisect import bisect_left


class _Mark:
    """Where a percentile stands: the index of its level, and the time spent above that level."""

    __slots__ = ("above", "index", "percent")

    def __init__(self, percent: int) -> None:
        self.percent = percent
        self.index = 0
        self.above = 0


class Ranking:
    """Time per level, exact for any levels. Times are whole numbers, so that sums of them stay exact.

    A reading more or less moves a percentile by a level or two: each has a mark that follows, and nothing is
    sorted or summed anew.
    """

    __slots__ = ("_levels", "_marks", "_times", "total")

    def __init__(self, percents: frozenset[int]) -> None:
        self.total = 0
        self._levels: list[float] = []  # each once, rising
        self._times: dict[float, int] = {}  # spent at each
        self._marks = {percent: _Mark(percent) for percent in percents}

    def add(self, level: float, time: int) -> None:
        """Count time spent at a level; less than 0 takes it back."""
        self.total += time
        before = self._times.get(level)
        if before is None:
            self._insert(level, time)
        elif before + time:
            self._times[level] = before + time
            levels = self._levels
            for mark in self._marks.values():
                if level > levels[mark.index]:
                    mark.above += time
        else:
            self._remove(level, before)

    def exceeded(self, percent: int) -> float:
        """The level exceeded `percent` of the time: above it lies no more of the time, with it more."""
        mark, levels, times = self._marks[percent], self._levels, self._times
        most, index, above = percent * self.total, mark.index, mark.above
        while above * 100 > most:
            index += 1
            above -= times[levels[index]]
        while (here := above + times[levels[index]]) * 100 <= most:
            above = here
            index -= 1
        mark.index, mark.above = index, above
        return levels[index]

    def _insert(self, level: float, time: int) -> None:
        at, levels = bisect_left(self._levels, level), self._levels
        for mark in self._marks.values():
            if at > mark.index:
                mark.above += time
            elif levels:
                mark.index += 1
        levels.insert(at, level)
        self._times[level] = time
        if len(levels) == 1:
            for mark in self._marks.values():
                mark.index = mark.above = 0

    def _remove(self, level: float, time: int) -> None:
        at, levels = bisect_left(self._levels, level), self._levels
        del levels[at], self._times[level]
        for mark in self._marks.values():
            if at > mark.index:
                mark.above -= time
            elif mark.index:
                mark.index -= 1
            elif levels and at == 0:
                mark.above -= self._times[levels[0]]
