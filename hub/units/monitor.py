"""The live feed of one unit: polls while somebody wants it, at the cadence the demand asks for."""

from math import ceil

import anyio

from hub.instruments.exchange import LinkDown, NotWanted, Priority, Refused
from hub.runtime.clock import Clock
from hub.units.unit import Unit

_FIRST_WITHIN_S = 2.0
_GRAIN_S = 0.001  # event loops wake up to a millisecond early


async def run_unit(unit: Unit, clock: Clock, phase: float) -> None:
    """Own a unit until cancelled: its connection and its polls, but for the time it is released.

    `phase` in [0, 1) is the unit's place within a cadence, so that a fleet is spread in time.
    """
    while True:
        while unit.is_released:
            await unit.wait_for_demand()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(unit.instrument.run)
            tasks.start_soon(_run_polls, unit, clock, phase)
            while not unit.is_released:
                await unit.wait_for_demand()
            tasks.cancel_scope.cancel()


async def _run_polls(unit: Unit, clock: Clock, phase: float) -> None:
    while True:
        while not unit.is_wanted:
            if unit.take_background_order():
                await _poll(unit, Priority.BACKGROUND)
            else:
                await unit.wait_for_demand()
        await _run_monitor(unit, clock, phase)


async def _run_monitor(unit: Unit, clock: Clock, phase: float) -> None:
    """Poll on the unit's grid until nobody wants it any more."""
    cadence_s = unit.cadence_s
    due = clock.steady()
    if unit.latest is None:
        due += phase * min(cadence_s, _FIRST_WITHIN_S)
    while unit.is_wanted:
        if unit.cadence_s < cadence_s:
            due = min(due, clock.steady())
        cadence_s = unit.cadence_s
        delay = max(due - clock.steady(), unit.instrument.retry_in_s)
        if delay > _GRAIN_S:
            await unit.wait_for_demand(delay)
            continue
        await _poll(unit, Priority.MONITOR)
        due = next_due(due, clock.steady(), cadence_s, phase)


async def _poll(unit: Unit, priority: Priority) -> None:
    wanted = None if priority is Priority.MONITOR else lambda: not unit.is_wanted
    try:
        await unit.poll(priority, wanted)
    except NotWanted:
        unit.skipped_by_poller += 1
    except (LinkDown, Refused):
        pass
    else:
        await unit.ask_questions(priority)


def next_due(due: float, now: float, cadence_s: float, phase: float) -> float:
    """When to poll after the poll that was due at `due`, steady seconds.

    Polls fall on a grid of cadences, shifted by `phase`. A poll that was late is followed by the next at
    its own time; what was missed beyond one cadence is not made up for.
    """
    earliest = max(due + cadence_s / 10, now - cadence_s)
    return (ceil(earliest / cadence_s - phase) + phase) * cadence_s
