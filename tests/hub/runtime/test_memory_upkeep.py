"""When memory is returned to the system."""

import anyio
import anyio.lowlevel
import pytest

from hub.runtime.memory_upkeep import run_memory_upkeep, settle_allocator

pytestmark = pytest.mark.anyio


async def trims(*resident_mb: int) -> int:
    """How often it tidies up. Sizes: at the start, then after each pause and after each tidying."""
    left, trimmed, closed, collected = iter(resident_mb), 0, 0, 0

    def trim() -> None:
        nonlocal trimmed
        trimmed += 1

    async def close_idle() -> None:
        nonlocal closed
        closed += 1

    def collect() -> None:  # a real one takes seconds in a process that holds a whole test suite
        nonlocal collected
        collected += 1

    def resident() -> int:
        if (now := next(left, None)) is None:
            raise LookupError
        return now * 1_000_000

    with pytest.raises(LookupError):
        await run_memory_upkeep(close_idle, 0.001, resident, trim, collect)
    assert collected == closed == trimmed
    return trimmed


async def test_the_process_is_tidied_while_it_is_a_tenth_above_its_lowest() -> None:
    assert await trims(200, 210, 190, 205) == 0
    assert await trims(200, 400, 390, 390, 230, 210, 190) == 2
    assert await trims(200, 400, 180, 210, 180) == 1


async def test_what_is_still_there_after_ten_times_is_needed() -> None:
    assert await trims(200, *[400, 400] * 10, 400, 410, 405) == 10


async def test_a_size_that_changes_after_ten_times_is_tidied_again() -> None:
    assert await trims(200, *[400, 400] * 10, 400, 460, 400) == 11
    assert await trims(200, *[400, 400] * 10, 400, 300, 250) == 11


async def test_it_runs_on_this_machine() -> None:
    settle_allocator()

    async def close_idle() -> None:
        await anyio.lowlevel.checkpoint()

    with anyio.move_on_after(0.05) as running:
        await run_memory_upkeep(close_idle, 0.01)
    assert running.cancelled_caught
