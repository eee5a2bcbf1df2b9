"""The state of all units at a glance: rows in arrays, and which of them changed since when."""

import json
import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import NamedTuple

from hub.clock import Clock, rfc3339
from hub.snapshot import FeedStatus, Snapshot, stale_after_s
from hub.unit import Unit

TICK_S = 0.25
_GLOBS = 100


class _Row(NamedTuple):
    name: str
    latest: Snapshot | None
    status: FeedStatus
    alarm: str | None
    changed: int  # tick


class Board:
    """Shared by all who watch the fleet: the units are looked through once per tick, and a text is made once.

    `alarms` gives the severity of the gravest open alert of each unit that has one.
    """

    def __init__(self, units: Mapping[str, Unit], clock: Clock, alarms: Callable[[], Mapping[str, str]]) -> None:
        self._units = units
        self._clock = clock
        self._alarms = alarms
        self._rows: dict[str, _Row] = {}
        self._tick = -1
        self._texts: dict[tuple[int, str], str | None] = {}
        self._present: tuple[Unit, ...] = ()
        self._matching: dict[str, tuple[Unit, ...]] = {}

    def rest_s(self) -> float:
        """Seconds until the next tick."""
        now = self._clock.steady()
        return (now // TICK_S + 1) * TICK_S - now

    def look(self) -> int:
        """The present tick; what has changed since the last one is noted."""
        tick = int(self._clock.steady() / TICK_S)
        if tick > self._tick:
            self._tick = tick
            self._texts.clear()
            self._note_changes()
        return self._tick

    def units(self, glob: str) -> tuple[Unit, ...]:
        """The units matching `glob`; the same object until some came or went."""
        if glob not in self._matching:
            if len(self._matching) >= _GLOBS:
                self._matching.clear()
            matches = re.compile(translate(glob)).match
            self._matching[glob] = tuple(unit for unit in self._present if matches(unit.id))
        return self._matching[glob]

    def text(self, since: int, glob: str) -> str | None:
        """Units matching `glob` that changed after the tick `since`, as JSON; None when there are none.

        With -1 all of them, even if there are none at all.
        """
        key = (since, glob)
        if key not in self._texts:
            self._texts[key] = self._text(since, glob)
        return self._texts[key]

    def _note_changes(self) -> None:
        present = tuple(self._units.values())
        if present != self._present:
            self._present = present
            self._matching.clear()
        alarms, now, rows = self._alarms(), self._clock.steady(), self._rows
        for unit_id, unit in self._units.items():
            name, latest, status, alarm = unit.name, unit.latest, unit.status, alarms.get(unit_id)
            if status is FeedStatus.OK and latest and now - latest.time > stale_after_s(latest.cadence_s):
                status = FeedStatus.STALE
            row = rows.get(unit_id)
            if (
                row is None
                or row.latest is not latest
                or row.status is not status
                or row.alarm != alarm
                or row.name != name
            ):
                rows[unit_id] = _Row(name, latest, status, alarm, self._tick)
        if len(rows) > len(self._units):
            self._note_removed()

    def _note_removed(self) -> None:
        """A unit that has left the configuration is shown as off, without values."""
        for unit_id in self._rows.keys() - self._units.keys():
            row = self._rows[unit_id]
            if row.status is not FeedStatus.OFF or row.latest is not None:
                self._rows[unit_id] = _Row(row.name, None, FeedStatus.OFF, None, self._tick)

    def _text(self, since: int, glob: str) -> str | None:
        matches = re.compile(translate(glob)).match
        shown = [
            (unit_id, row)
            for unit_id, row in self._rows.items()
            if row.changed > since and (glob == "*" or matches(unit_id)) and (since >= 0 or unit_id in self._units)
        ]
        if not shown and since >= 0:
            return None
        now = self._clock.steady()
        latest = [row.latest for _, row in shown]
        body = {
            "t": rfc3339(self._clock.now()),
            "unit_id": [unit_id for unit_id, _ in shown],
            "name": [row.name for _, row in shown],
            "sequence": [None if one is None else one.sequence for one in latest],
            "lp": [None if one is None else one.reading.lp for one in latest],
            "leq": [None if one is None else one.reading.leq for one in latest],
            "age_s": [None if one is None else max(0.0, round(now - one.time, 3)) for one in latest],
            "feed_status": [row.status for _, row in shown],
            "alarm": [row.alarm for _, row in shown],
        }
        return json.dumps(body, separators=(",", ":"), allow_nan=False)
