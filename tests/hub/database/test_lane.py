"""The lane limits how many queries run, how many wait, and for how long."""

import anyio
import pytest

from hub.database.lane import Lane, LaneFull
from tests.virtual_time import virtual


async def occupy(lane: Lane, seconds: float) -> None:
    async with lane.slot():
        await anyio.sleep(seconds)


@virtual
async def test_a_caller_without_a_slot_waits_for_one() -> None:
    lane = Lane(1, 1, 5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, lane, 3.0)
        await anyio.sleep(1)
        assert lane.running == 1
        await occupy(lane, 1.0)
        assert anyio.current_time() == pytest.approx(4.0)
    assert (lane.running, lane.waiting, lane.refused) == (0, 0, 0)


@virtual
async def test_no_caller_waits_longer_than_the_deadline() -> None:
    lane = Lane(1, 1, 5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, lane, 60.0)
        await anyio.sleep(1)
        with pytest.raises(LaneFull):
            await occupy(lane, 1.0)
        assert anyio.current_time() == pytest.approx(6.0)
    assert lane.refused == 1


@virtual
async def test_callers_beyond_the_waiting_limit_are_refused_at_once() -> None:
    lane = Lane(1, 1, 5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, lane, 2.0)
        tasks.start_soon(occupy, lane, 2.0)
        await anyio.sleep(1)
        with pytest.raises(LaneFull):
            await occupy(lane, 1.0)
        assert anyio.current_time() == pytest.approx(1.0)


@virtual
async def test_one_that_is_cancelled_takes_no_place() -> None:
    lane = Lane(1, 5, 50.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, lane, 3.0)
        await anyio.sleep(1)
        with anyio.move_on_after(1):
            await occupy(lane, 1.0)
    await occupy(lane, 1.0)
    assert (lane.running, lane.waiting) == (0, 0)


@virtual
async def test_who_was_let_in_once_is_not_refused_at_the_next_piece() -> None:
    lane = Lane(1, 0, 5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(occupy, lane, 60.0)
        await anyio.sleep(1)
        async with lane.slot(continues=True):
            assert anyio.current_time() == pytest.approx(60.0)
