"""A caller waits for a free slot for a limited time, and never takes the slots of the others."""

import anyio
import pytest

from hub.web.http.slots import CallerSlots
from tests.virtual_time import virtual

pytestmark = pytest.mark.anyio


@virtual
async def test_a_request_without_a_free_slot_waits_for_one_for_a_limited_time() -> None:
    slots = CallerSlots(total=2, per_caller=2, wait_s=2.0)
    assert await slots.acquire("a")
    assert await slots.acquire("a")
    began_s = anyio.current_time()
    assert not await slots.acquire("b")
    assert anyio.current_time() - began_s == 2.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_release_after, slots, 1.0)
        assert await slots.acquire("b")
    assert slots.refused == 1


async def _release_after(slots: CallerSlots, seconds: float) -> None:
    await anyio.sleep(seconds)
    slots.release("a")


@virtual
async def test_one_caller_leaves_slots_to_the_others() -> None:
    slots = CallerSlots(total=3, per_caller=2, wait_s=2.0)
    assert [await slots.acquire("a") for _ in range(3)] == [True, True, False]
    assert await slots.acquire("b")
    for caller in ("a", "a", "b"):
        slots.release(caller)
    assert slots.running == 0
    assert not slots._held


@virtual
async def test_without_a_wait_a_request_is_refused_at_once() -> None:
    slots = CallerSlots(total=1, per_caller=1)
    assert await slots.acquire("a")
    began_s = anyio.current_time()
    assert not await slots.acquire("b")
    assert anyio.current_time() == began_s
    slots.release("a")
    assert await slots.acquire("b")
