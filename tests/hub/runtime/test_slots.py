"""Bounded slots limit how many callers run, how many wait, and for how long."""

import anyio
import pytest

from hub.runtime.slots import BoundedSlots
from tests.virtual_time import virtual


class Refused(Exception):
    """What the slots raise here."""


async def occupy(slots: BoundedSlots, seconds: float) -> None:
    async with slots.slot():
        await anyio.sleep(seconds)


@virtual
async def test_a_caller_without_a_slot_waits_for_one() -> None:
    slots = BoundedSlots(1, 1, 5.0, Refused)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, slots, 3.0)
        await anyio.sleep(1)
        assert slots.running == 1
        await occupy(slots, 1.0)
        assert anyio.current_time() == pytest.approx(4.0)
    assert (slots.running, slots.waiting, slots.refused) == (0, 0, 0)


@virtual
async def test_no_caller_waits_longer_than_the_deadline() -> None:
    slots = BoundedSlots(1, 1, 5.0, Refused)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, slots, 60.0)
        await anyio.sleep(1)
        with pytest.raises(Refused):
            await occupy(slots, 1.0)
        assert anyio.current_time() == pytest.approx(6.0)
    assert slots.refused == 1


@virtual
async def test_callers_beyond_the_waiting_limit_are_refused_at_once() -> None:
    slots = BoundedSlots(1, 1, 5.0, Refused)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, slots, 2.0)
        tasks.start_soon(occupy, slots, 2.0)
        await anyio.sleep(1)
        with pytest.raises(Refused):
            await occupy(slots, 1.0)
        assert anyio.current_time() == pytest.approx(1.0)


@virtual
async def test_a_cancelled_caller_holds_no_slot() -> None:
    slots = BoundedSlots(1, 5, 50.0, Refused)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, slots, 3.0)
        await anyio.sleep(1)
        with anyio.move_on_after(1):
            await occupy(slots, 1.0)
    await occupy(slots, 1.0)
    assert (slots.running, slots.waiting) == (0, 0)


@virtual
async def test_a_caller_that_continues_its_work_is_never_refused() -> None:
    slots = BoundedSlots(1, 0, 5.0, Refused)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, slots, 60.0)
        await anyio.sleep(1)
        async with slots.slot(continues=True):
            assert anyio.current_time() == pytest.approx(60.0)
