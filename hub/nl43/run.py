"""What the totals of `DOD?` tell of a run: whether it goes on, stands still or began anew, and when it began.

LE - Leq is 10 lg T, T the seconds measured so far. Both are shown with one decimal, so the difference is known to
0.1 dB and T to 2.3 %. It follows that while a run goes on LE rises or Leq falls at least once in 4.7 % of T; totals
that stand still for longer belong to a run that is over, or paused. The difference never falls by more than the
0.1 dB of the rounding; where it does, another run has begun.
"""

from dataclasses import dataclass
from operator import itemgetter

from alerts.model.metrics import LEVELS
from hub.readings.reading import Reading

_totals_of = itemgetter(*(Reading._fields.index(metric.name) for metric in LEVELS if metric.sort == "total"))
_ROUNDING_DB = 0.1
_FALL_DB = 0.15
_SHORTEST_DB, _LONGEST_DB = -20.0, 75.0  # 10 ms, a year
_STILL_SHARE, _STILL_S = 0.06, 2.0  # of T, and what the meter may take to show new totals
_DISPLAY_S = 1.0  # totals may be this old when they are read


@dataclass(slots=True)
class _Bounds:
    """The run began between these times, steady seconds."""

    low_s: float
    high_s: float

    @property
    def width_s(self) -> float:
        return self.high_s - self.low_s


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one reading says beside the one before. Neither `has_moved` nor `is_same`: it does not say.

    `has_moved`: a total changed, so a run was on between the two.
    `is_same`: LE or Leq is known, and no total changed.
    `has_grown`: T became longer. `is_frozen`: the totals have stood still for longer than a run allows.
    `has_restarted`: these are the totals of another run.
    """

    has_moved: bool = False
    is_same: bool = False
    has_grown: bool = False
    is_frozen: bool = False
    has_restarted: bool = False


_NOTHING = Evidence()


class RunTotals:
    """Follows the totals of one meter. Times are the steady clock, seconds.

    `started_s` is when the run began, None while nothing tells. It is held as it was first found and given anew
    only where what came since has made it twice as exact; so it does not move with every reading.
    """

    def __init__(self) -> None:
        self.started_s: float | None = None
        self._width_s = 0.0
        self._bounds: _Bounds | None = None
        self._is_held = False  # the run was paused: T says no more when it began
        self._before: Reading | None = None
        self._length_db: float | None = None  # the last that was known, and when
        self._length_s = 0.0
        self._unchanged_s = 0.0  # LE and Leq have been as they are since then

    def add(self, reading: Reading, time: float) -> Evidence:
        """Take the next reading."""
        before, self._before = self._before, reading
        was_db, was_s = self._length_db, self._length_s
        length_db = _length_db(reading)
        if length_db is not None:
            self._length_db, self._length_s = length_db, time
        if before is None:
            self._unchanged_s = time
            self._bound(length_db, time)
            return _NOTHING
        were, are = _totals_of(before), _totals_of(reading)
        is_same = were == are
        has_moved = not is_same and any(
            old != new for old, new in zip(were, are, strict=True) if old is not None and new is not None
        )
        if (before.leq, before.le) != (reading.leq, reading.le):
            self._unchanged_s = time
        has_restarted = _is_of_another_run(was_db, length_db, time - was_s)
        if has_restarted:
            self.forget()
            self._bound(length_db, time)
        elif has_moved:
            self._bound(was_db, was_s)  # the run was still on then
            self._bound(length_db, time)
        elif self._bounds is None:
            self._bound(length_db, time)
        has_time = reading.leq is not None or reading.le is not None
        return Evidence(
            has_moved,
            has_time and is_same,
            length_db is not None and was_db is not None and not has_restarted and length_db > was_db,
            length_db is not None and time - self._unchanged_s > _STILL_SHARE * _longest_s(length_db) + _STILL_S,
            has_restarted,
        )

    def began(self, after_s: float, until_s: float) -> None:
        """The meter said Stop at `after_s` and Start at `until_s`."""
        if self._bounds is not None and self._bounds.low_s >= after_s - _DISPLAY_S:
            return  # the totals have told of this run already
        self.forget()
        self._bounds = _Bounds(after_s, until_s)
        self._publish(until_s)

    def presume(self, started_s: float) -> None:
        """When the run began, as it was known before a restart of the hub: held if the first reading agrees."""
        self.started_s, self._width_s = started_s, 0.0

    def forget(self) -> None:
        """Another run: nothing is known of when it began."""
        self.started_s = self._bounds = None
        self._is_held = False

    def _bound(self, length_db: float | None, time: float) -> None:
        if length_db is None:
            return
        new = _Bounds(time - _longest_s(length_db) - _DISPLAY_S, time - _shortest_s(length_db))
        old = self._bounds
        if old is None:
            self._bounds = new
            if self.started_s is not None and new.low_s <= self.started_s <= new.high_s + _DISPLAY_S:
                return  # as presumed
            self.started_s = None
        else:
            both = _Bounds(max(old.low_s, new.low_s), min(old.high_s, new.high_s))
            if both.width_s < 0:
                self._is_held = True
                self._bounds = new
            else:
                self._bounds = both
        if self.started_s is None:
            self._publish(time - 10 ** (length_db / 10))
        elif not self._is_held and self._bounds.width_s <= self._width_s / 2:
            self._publish((self._bounds.low_s + self._bounds.high_s) / 2)

    def _publish(self, started_s: float) -> None:
        assert self._bounds is not None
        self.started_s, self._width_s = started_s, self._bounds.width_s


def _length_db(reading: Reading) -> float | None:
    """10 lg T of a reading; None where the meter shows no LE or Leq, or both make no sense together."""
    if reading.le is None or reading.leq is None:
        return None
    length_db = round(reading.le - reading.leq, 1)
    return length_db if _SHORTEST_DB <= length_db <= _LONGEST_DB else None


def _is_of_another_run(was_db: float | None, length_db: float | None, apart_s: float) -> bool:
    """T became shorter, or is so short that all of this run lies between the two readings."""
    if was_db is None or length_db is None or length_db == was_db:
        return False
    return length_db < was_db - _FALL_DB or _longest_s(length_db) < apart_s - _DISPLAY_S


def _longest_s(length_db: float) -> float:
    return float(10 ** ((length_db + _ROUNDING_DB) / 10))


def _shortest_s(length_db: float) -> float:
    return float(10 ** ((length_db - _ROUNDING_DB) / 10))
