"""The lane of people's queries: bounded in number and in waiting."""

import anyio
import pytest

from hub.database.lane import Lane, LaneFull
from tests.virtual_time import virtual


async def sit(lane: Lane, seconds: float) -> None:
    async with lane.place():
        await anyio.sleep(seconds)


@virtual
async def test_who_finds_no_place_waits_for_one() -> None:
    lane = Lane(1, 1, 5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sit, lane, 3.0)
        await anyio.sleep(1)
        assert lane.busy == 1
        await sit(lane, 1.0)
        assert anyio.current_time() == pytest.approx(4.0)
    assert (lane.busy, lane.waiting, lane.refused) == (0, 0, 0)


@virtual
async def test_nobody_waits_for_longer_than_the_patience() -> None:
    lane = Lane(1, 1, 5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sit, lane, 60.0)
        await anyio.sleep(1)
        with pytest.raises(LaneFull):
            await sit(lane, 1.0)
        assert anyio.current_time() == pytest.approx(6.0)
    assert lane.refused == 1


@virtual
async def test_more_than_may_wait_are_refused_at_once() -> None:
    lane = Lane(1, 1, 5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sit, lane, 2.0)
        tasks.start_soon(sit, lane, 2.0)
        await anyio.sleep(1)
        with pytest.raises(LaneFull):
            await sit(lane, 1.0)
        assert anyio.current_time() == pytest.approx(1.0)


@virtual
async def test_one_that_is_cancelled_takes_no_place() -> None:
    lane = Lane(1, 5, 50.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sit, lane, 3.0)
        await anyio.sleep(1)
        with anyio.move_on_after(1):
            await sit(lane, 1.0)
    await sit(lane, 1.0)
    assert (lane.busy, lane.waiting) == (0, 0)


@virtual
async def test_who_was_let_in_once_is_not_refused_at_the_next_piece() -> None:
    lane = Lane(1, 0, 5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sit, lane, 60.0)
        await anyio.sleep(1)
        async with lane.place(goes_on=True):
            assert anyio.current_time() == pytest.approx(60.0)
