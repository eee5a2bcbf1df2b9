"""When memory is given back."""

import anyio
import pytest

from hub.memory_upkeep import run_memory_upkeep, settle_allocator

pytestmark = pytest.mark.anyio


async def trims(*resident_mb: int) -> int:
    left, trimmed = iter(resident_mb), 0

    def trim() -> None:
        nonlocal trimmed
        trimmed += 1

    def resident() -> int:
        if (now := next(left, None)) is None:
            raise LookupError
        return now * 1_000_000

    with pytest.raises(LookupError):
        await run_memory_upkeep(0.0, resident, trim)
    return trimmed


async def test_the_process_is_tidied_while_it_is_a_tenth_above_its_lowest() -> None:
    assert await trims(200, 210, 190, 205) == 0
    assert await trims(200, 400, 390, 230, 210, 190) == 3
    assert await trims(200, 400, 180, 210, 190) == 2


async def test_what_is_still_there_after_ten_times_is_needed() -> None:
    assert await trims(200, *[400] * 10, 400, 410, 420, 430) == 10
    assert await trims(200, *[400] * 10, 400, 460) == 11


async def test_it_runs_on_this_machine() -> None:
    settle_allocator()
    with anyio.move_on_after(0.05) as running:
        await run_memory_upkeep(0.01)
    assert running.cancelled_caught
