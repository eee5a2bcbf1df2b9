"""The background poller: reads every unit that has no active monitor, concurrently and spread over the interval."""

import heapq
from collections.abc import Mapping
from itertools import count

import anyio

from hub.clock import Clock
from hub.nl43.link import LinkDown, NotWanted, Priority
from hub.unit import MeterRefused, Unit

_LOOK_S = 1.0


class Poller:
    """Polls `units` (a live mapping: units may come and go) at their `background` interval.

    A unit whose monitor is active is skipped; that is decided at the moment of sending, and counted.
    """

    def __init__(self, units: Mapping[str, Unit], clock: Clock, at_once: int = 256) -> None:
        self._units = units
        self._clock = clock
        self._limit = anyio.CapacityLimiter(at_once)
        self._order = count()

    async def run(self) -> None:
        """Poll until cancelled."""
        due: list[tuple[float, int, Unit]] = []
        known: dict[str, Unit] = {}
        async with anyio.create_task_group() as tasks:
            while True:
                now = self._clock.steady()
                self._take_up_new(due, known, now)
                while due and due[0][0] <= now:
                    due_s, _, unit = heapq.heappop(due)
                    if known.get(unit.id) is not unit:
                        continue
                    interval_s = unit.config.poll.background
                    heapq.heappush(due, (max(due_s + interval_s, now), next(self._order), unit))
                    if not unit.is_released:
                        tasks.start_soon(self._poll, unit)
                until_due = due[0][0] - self._clock.steady() if due else _LOOK_S
                await anyio.sleep(min(max(until_due, 0.0), _LOOK_S))

    def _take_up_new(self, due: list[tuple[float, int, Unit]], known: dict[str, Unit], now: float) -> None:
        for gone in known.keys() - self._units.keys():
            del known[gone]
        fresh = [unit for unit in self._units.values() if known.get(unit.id) is not unit]
        for place, unit in enumerate(fresh):
            known[unit.id] = unit
            first_s = now + unit.config.poll.background * place / len(fresh)
            heapq.heappush(due, (first_s, next(self._order), unit))

    async def _poll(self, unit: Unit) -> None:
        if unit.is_wanted:
            unit.skipped_by_poller += 1
            return
        async with self._limit:
            try:
                await unit.poll(Priority.BACKGROUND, lambda: not unit.is_wanted)
                await unit.ask_next_question(Priority.BACKGROUND)
            except NotWanted:
                unit.skipped_by_poller += 1
            except (LinkDown, MeterRefused):
                pass
