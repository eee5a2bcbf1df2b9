"""When a rule holds: windows of local time as instants, in any zone and over clock changes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.config.rule import Schedule

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NEARBY_DAYS = range(-3, 9)  # days around now that can hold the window before and the window after it


def is_within(schedule: Schedule, at: datetime, default_timezone: str) -> bool:
    """Whether the schedule holds at `at` (aware). A `Window` answers repeated questions faster."""
    return Window(schedule, default_timezone).is_open(at)


class Window:
    """A schedule that caches the period around the last question: most questions cost two comparisons."""

    __slots__ = ("_days", "_from", "_is_open", "_since", "_to", "_until", "_zone")

    def __init__(self, schedule: Schedule, default_timezone: str) -> None:
        self._zone = ZoneInfo(schedule.timezone or default_timezone)
        self._days = frozenset(_DAYS.index(day) for day in schedule.days)
        self._from = _time_of_day(schedule.from_)
        self._to = _time_of_day(schedule.to)
        if self._to <= self._from:
            self._to += timedelta(days=1)
        self._since = self._until = datetime.min.replace(tzinfo=UTC)
        self._is_open = False

    def is_open(self, at: datetime) -> bool:
        """Whether the schedule holds at `at` (aware UTC); an edge belongs to what begins there."""
        if not self._since <= at < self._until:
            self._find_period(at)
        return self._is_open

    def _find_period(self, at: datetime) -> None:
        today = at.astimezone(self._zone).date()
        self._since, self._until, self._is_open = at - timedelta(days=1), at + timedelta(days=1), False
        for shift in _NEARBY_DAYS:
            day = today + timedelta(days=shift)
            if day.weekday() not in self._days:
                continue
            start, end = self._instant(day, self._from), self._instant(day, self._to)
            if start <= at < end:
                self._since, self._until, self._is_open = start, end, True
                return
            if end <= at:
                self._since = max(self._since, end)
            else:
                self._until = min(self._until, start)

    def _instant(self, day: date, time_of_day: timedelta) -> datetime:
        """The first instant at which the wall clock shows this time or, where it jumps over it, a later one."""
        wall = datetime(day.year, day.month, day.day) + time_of_day  # noqa: DTZ001 - wall time, placed in its zone below
        instant = wall.replace(tzinfo=self._zone).astimezone(UTC)
        if instant.astimezone(self._zone).replace(tzinfo=None) == wall:
            return instant
        before, after = wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC), instant
        while after - before > timedelta(seconds=1):
            middle = before + (after - before) // 2
            if middle.astimezone(self._zone).replace(tzinfo=None) < wall:
                before = middle
            else:
                after = middle
        return after.replace(microsecond=0)


def _time_of_day(text: str) -> timedelta:
    hours, minutes = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))
