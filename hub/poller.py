"""The background poller: orders a poll of every unit that has no active monitor, spread over its interval."""

import heapq
from collections.abc import Mapping
from itertools import count

import anyio

from hub.clock import Clock
from hub.unit import Unit

_LOOK_S = 1.0


class Poller:
    """Sees to it that each of `units` (a live mapping) is read at its `background` interval.

    A unit with an active monitor is skipped, and the skip is counted. The order is carried out by the unit
    itself, which looks once more at the moment of sending; so a hanging meter delays no other.
    """

    def __init__(self, units: Mapping[str, Unit], clock: Clock) -> None:
        self._units = units
        self._clock = clock
        self._due: list[tuple[float, int, Unit]] = []
        self._known: dict[str, Unit] = {}
        self._order = count()
        self._look_s = 0.0

    async def run(self) -> None:
        """Order polls until cancelled."""
        while True:
            delay_s = self.order_due(self._clock.steady())
            await anyio.sleep(delay_s)

    def order_due(self, now: float) -> float:
        """Order what is due; return the seconds until something may be due again."""
        if now >= self._look_s:
            self._look_s = now + _LOOK_S
            self._take_up_changes(now)
        while self._due and self._due[0][0] <= now:
            due_s, _, unit = heapq.heappop(self._due)
            if self._known.get(unit.id) is not unit:
                continue
            next_s = max(due_s + unit.config.poll.background, now)
            heapq.heappush(self._due, (next_s, next(self._order), unit))
            if unit.is_wanted:
                unit.skipped_by_poller += 1
            elif not unit.is_released:
                unit.order_background_poll()
        return min(max(self._due[0][0] - now, 0.0), _LOOK_S) if self._due else _LOOK_S

    def _take_up_changes(self, now: float) -> None:
        for gone in self._known.keys() - self._units.keys():
            del self._known[gone]
        fresh = [unit for unit in self._units.values() if self._known.get(unit.id) is not unit]
        for place, unit in enumerate(fresh):
            self._known[unit.id] = unit
            first_s = now + unit.config.poll.background * place / len(fresh)
            heapq.heappush(self._due, (first_s, next(self._order), unit))
