"""The state of all units at a glance: rows in arrays, and which of them changed since when."""

import json
import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import NamedTuple

from hub.readings.snapshot import FeedStatus, Snapshot, stale_after_s
from hub.runtime.clock import Clock, rfc3339
from hub.units.unit import Unit

TICK_S = 0.25


class _Row(NamedTuple):
    name: str
    latest: Snapshot | None
    status: FeedStatus
    alarm: str | None
    changed: int  # tick


class Choice:
    """The units that one viewer asks for: the glob is compiled once, and each id is held against it once."""

    def __init__(self, glob: str) -> None:
        self._matches = re.compile(translate(glob)).match
        self._seen: frozenset[str] = frozenset()
        self._chosen: frozenset[str] = frozenset()
        self._present: tuple[Unit, ...] = ()
        self._units: tuple[Unit, ...] = ()

    def ids(self, known: frozenset[str]) -> frozenset[str]:
        """Those of the known ids that match; an id that was known before stays known."""
        if known is not self._seen:
            chosen = self._chosen.union(filter(self._matches, known - self._seen))
            self._chosen = known if len(chosen) == len(known) else chosen
            self._seen = known
        return self._chosen

    def units(self, present: tuple[Unit, ...], known: frozenset[str]) -> tuple[Unit, ...]:
        """Those of the units that match; the same object until some came or went."""
        if present is not self._present:
            chosen = self.ids(known)
            self._units = tuple(unit for unit in present if unit.id in chosen)
            self._present = present
        return self._units


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
        self._changed: dict[int, list[tuple[str, _Row]]] = {}
        self._texts: dict[tuple[int, frozenset[str]], str | None] = {}
        self._present: tuple[Unit, ...] = ()
        self._known: frozenset[str] = frozenset()

    def rest_s(self) -> float:
        """Seconds until the next tick."""
        now = self._clock.steady()
        return (now // TICK_S + 1) * TICK_S - now

    def look(self) -> int:
        """The present tick; what has changed since the last one is noted."""
        tick = int(self._clock.steady() / TICK_S)
        if tick > self._tick:
            self._tick = tick
            self._changed.clear()
            self._texts.clear()
            self._note_changes()
        return self._tick

    def units(self, choice: Choice) -> tuple[Unit, ...]:
        """The units chosen; the same object until some came or went."""
        return choice.units(self._present, self._known)

    def text(self, since: int, choice: Choice) -> str | None:
        """Those of the chosen units that changed after the tick `since`, as JSON; None when there are none.

        With -1 all of them, even if there are none at all. Viewers whose globs choose the same units share a text.
        """
        ids = choice.ids(self._known)
        key = (since, ids)
        if key not in self._texts:
            self._texts[key] = self._text(since, ids)
        return self._texts[key]

    def _note_changes(self) -> None:
        present = tuple(self._units.values())
        if present != self._present:
            self._present = present
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
        if len(rows) > len(self._known):
            self._known = frozenset(rows)
        if len(rows) > len(self._units):
            self._note_removed()

    def _note_removed(self) -> None:
        """A unit that has left the configuration is shown as off, without values."""
        for unit_id in self._rows.keys() - self._units.keys():
            row = self._rows[unit_id]
            if row.status is not FeedStatus.OFF or row.latest is not None:
                self._rows[unit_id] = _Row(row.name, None, FeedStatus.OFF, None, self._tick)

    def _changed_since(self, since: int) -> list[tuple[str, _Row]]:
        if since not in self._changed:
            self._changed[since] = [
                (unit_id, row)
                for unit_id, row in self._rows.items()
                if row.changed > since and (since >= 0 or unit_id in self._units)
            ]
        return self._changed[since]

    def _text(self, since: int, ids: frozenset[str]) -> str | None:
        shown = [changed for changed in self._changed_since(since) if changed[0] in ids]
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
