"""The live feed of one unit: polls while somebody wants it, at the cadence the demand asks for."""

from collections.abc import Callable
from math import ceil

import anyio

from hub.clock import Clock
from hub.nl43.link import LinkDown, Priority
from hub.unit import MeterRefused, Unit

_FIRST_WITHIN_S = 2.0


async def run_unit(unit: Unit, clock: Clock, phase: float) -> None:
    """Own a unit until cancelled: its link and its monitor, but for the time it is released.

    `phase` in [0, 1) is the unit's place within a cadence, so that a fleet is spread in time.
    """
    while True:
        while unit.is_released:
            await unit.wait_for_demand()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(unit.link.run)
            tasks.start_soon(_run_monitor, unit, clock, phase)
            while not unit.is_released:
                await unit.wait_for_demand()
            tasks.cancel_scope.cancel()


async def _run_monitor(unit: Unit, clock: Clock, phase: float) -> None:
    schedule = Schedule(phase)
    due = clock.steady() + phase * min(unit.cadence_s, _FIRST_WITHIN_S)
    while True:
        while not unit.is_wanted:
            await unit.wait_for_demand()
            due = clock.steady()
        cadence_s = unit.cadence_s
        while unit.is_wanted and (delay := max(due - clock.steady(), unit.link.retry_in_s)) > 0:
            await unit.wait_for_demand(delay)
            if unit.cadence_s < cadence_s:
                cadence_s = unit.cadence_s
                due = min(due, clock.steady() + cadence_s if unit.latest else clock.steady())
        if not unit.is_wanted:
            continue
        await _poll_once(unit)
        due = schedule.next_due(due, clock.steady(), unit.cadence_s)


async def _poll_once(unit: Unit) -> None:
    try:
        await unit.poll(Priority.MONITOR)
    except (LinkDown, MeterRefused):
        return
    await unit.ask_next_question(Priority.MONITOR)


class Schedule:
    """When the next poll is due: on the unit's own grid of cadences. A late poll skips, it does not pile up."""

    def __init__(self, phase: float) -> None:
        self._phase = phase

    def next_due(self, due: float, now: float, cadence_s: float) -> float:
        """The next point of the grid after the poll that was due at `due`; one cadence may be caught up on."""
        earliest = max(due + cadence_s / 2, now - cadence_s)
        return (ceil(earliest / cadence_s - self._phase) + self._phase) * cadence_s


def phase_of(index: int, total: int) -> float:
    """The place of unit `index` of `total` within a cadence, in [0, 1)."""
    return index / max(total, 1)


Wanted = Callable[[], bool]
