"""The fleet table: one row per unit with its latest levels, state and alarm, and the tick of its last change.

`WS /api/live` sends it every `TICK_S` seconds, to each viewer only the rows that changed since the last message.
"""

import json
import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import Any, NamedTuple

from alerts.model.moments import rfc3339
from hub.readings.snapshot import FeedStatus, Snapshot, stale_after_s
from hub.runtime.clock import Clock
from hub.units.unit import Unit

TICK_S = 0.25
"""Seconds between two refreshes of the table."""


class _Row(NamedTuple):
    name: str
    latest: Snapshot | None
    status: FeedStatus
    alarm: str | None
    changed: int  # the tick of the last change


class UnitFilter:
    """The units that one viewer asks for by a glob. The glob is compiled once and matched once against each id."""

    def __init__(self, glob: str) -> None:
        self._matches = re.compile(translate(glob)).match
        self._seen: frozenset[str] = frozenset()
        self._chosen: frozenset[str] = frozenset()
        self._present: tuple[Unit, ...] = ()
        self._units: tuple[Unit, ...] = ()

    def ids(self, known: frozenset[str]) -> frozenset[str]:
        """The ids in `known` that match. `known` only ever grows, so an id is matched when it appears."""
        if known is not self._seen:
            chosen = self._chosen.union(filter(self._matches, known - self._seen))
            self._chosen = known if len(chosen) == len(known) else chosen
            self._seen = known
        return self._chosen

    def units(self, present: tuple[Unit, ...], known: frozenset[str]) -> tuple[Unit, ...]:
        """The units in `present` that match; the same tuple object until a unit is added or removed."""
        if present is not self._present:
            chosen = self.ids(known)
            self._units = tuple(unit for unit in present if unit.id in chosen)
            self._present = present
        return self._units


class FleetTable:
    """Shared by all viewers of the fleet: it reads the units once per tick and encodes each message once.

    `alarms` returns the severity of the most severe open alert of each unit that has one.
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

    def until_next_tick_s(self) -> float:
        """Seconds until the next tick."""
        now = self._clock.steady()
        return (now // TICK_S + 1) * TICK_S - now

    def refresh(self) -> int:
        """Record what has changed since the last tick; returns the current tick."""
        tick = int(self._clock.steady() / TICK_S)
        if tick > self._tick:
            self._tick = tick
            self._changed.clear()
            self._texts.clear()
            self._note_changes()
        return self._tick

    def units(self, chosen: UnitFilter) -> tuple[Unit, ...]:
        """The units that the filter matches; the same tuple object until a unit is added or removed."""
        return chosen.units(self._present, self._known)

    def text(self, since: int, chosen: UnitFilter) -> str | None:
        """The matching units that changed after the tick `since`, as JSON text; None when none changed.

        With -1 all of them, even an empty list. Viewers whose globs match the same units share the text.
        """
        ids = chosen.ids(self._known)
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
        """Show a unit that was removed from the configuration as `off`, without levels."""
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
        body: dict[str, Any] = {
            "t": rfc3339(self._clock.now()),
            "unit_id": [unit_id for unit_id, _ in shown],
            "name": [row.name for _, row in shown],
            "sequence": [None if one is None else one.sequence for one in latest],
            "lp": [None if one is None else one.reading.value("lp") for one in latest],
            "leq": [None if one is None else one.reading.value("leq") for one in latest],
            "age_s": [None if one is None else max(0.0, round(now - one.time, 3)) for one in latest],
            "feed_status": [row.status for _, row in shown],
            "alarm": [row.alarm for _, row in shown],
        }
        own = [None if one is None else one.reading.quantities for one in latest]
        if any(own):  # else every unit is a sound level meter
            body["quantities"] = own
        return json.dumps(body, separators=(",", ":"), allow_nan=False)
