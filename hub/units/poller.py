"""The background poller: orders a poll of every unit that has no active monitor, spread over its interval."""

import heapq
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

import anyio

from hub.runtime.clock import Clock
from hub.units.unit import Unit

_LOOK_S = 1.0


class _Plan(NamedTuple):
    """A unit and the interval it is read at, seconds; with another of either it is planned anew."""

    unit: Unit
    every_s: float


class Poller:
    """Sees to it that each of `units` (a live mapping) is read at its `background` interval.

    A unit with an active monitor is skipped, and the skip is counted. The order is carried out by the unit
    itself, which looks once more at the moment of sending; so a hanging meter delays no other.
    """

    def __init__(self, units: Mapping[str, Unit], clock: Clock) -> None:
        self._units = units
        self._clock = clock
        self._due: list[tuple[float, int, _Plan]] = []
        self._known: dict[str, _Plan] = {}
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
            due_s, _, plan = heapq.heappop(self._due)
            unit = plan.unit
            if self._known.get(unit.id) is not plan:
                continue
            next_s = max(due_s + plan.every_s, now)
            heapq.heappush(self._due, (next_s, next(self._order), plan))
            if unit.is_wanted:
                unit.skipped_by_poller += 1
            elif not unit.is_released:
                unit.order_background_poll()
        return min(max(self._due[0][0] - now, 0.0), _LOOK_S) if self._due else _LOOK_S

    def _take_up_changes(self, now: float) -> None:
        for gone in self._known.keys() - self._units.keys():
            del self._known[gone]
        plans = (_Plan(unit, unit.config.poll.background) for unit in self._units.values())
        fresh = [plan for plan in plans if self._known.get(plan.unit.id) != plan]
        for place, plan in enumerate(fresh):
            self._known[plan.unit.id] = plan
            first_s = now + plan.every_s * place / len(fresh)
            heapq.heappush(self._due, (first_s, next(self._order), plan))
