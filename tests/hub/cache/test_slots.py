import anyio
import pytest

from hub.cache.slots import Renewal, Slots, SlotTimes
from tests.redis_server import shared_redis

pytestmark = pytest.mark.anyio


async def test_no_more_than_the_cap_hold_a_slot() -> None:
    async with shared_redis() as redis:
        ours, theirs = Slots(redis, "bulk", 2), Slots(redis, "bulk", 2)
        assert [await ours.try_acquire("a"), await theirs.try_acquire("b"), await ours.try_acquire("c")] == [
            True,
            True,
            False,
        ]
        await theirs.release("b")
        assert await ours.try_acquire("c")


async def test_slots_are_granted_in_order_of_arrival() -> None:
    async with shared_redis() as redis:
        slots = Slots(redis, "bulk", 1)
        assert await slots.try_acquire("holder")
        assert not await slots.try_acquire("first")
        await anyio.sleep(0.005)
        assert not await slots.try_acquire("second")
        await slots.release("holder")
        assert not await slots.try_acquire("second")
        assert await slots.try_acquire("first")


async def test_a_waiter_that_stops_retrying_leaves_the_queue() -> None:
    async with shared_redis() as redis:
        slots = Slots(redis, "bulk", 1, SlotTimes(hold_s=10, forget_s=0.02))
        assert await slots.try_acquire("holder")
        assert not await slots.try_acquire("gone away")
        await anyio.sleep(0.04)
        await slots.release("holder")
        assert await slots.try_acquire("second")


async def test_a_slot_that_is_not_renewed_expires_and_its_holder_learns_it() -> None:
    async with shared_redis() as redis:
        slots = Slots(redis, "bulk", 1, SlotTimes(hold_s=0.03))
        assert await slots.try_acquire("dead")
        await anyio.sleep(0.05)
        assert await slots.try_acquire("next")
        assert await slots.renew("dead") is Renewal.LOST


async def test_a_renewal_reports_whether_others_wait() -> None:
    async with shared_redis() as redis:
        slots = Slots(redis, "bulk", 1)
        assert await slots.try_acquire("holder")
        assert await slots.renew("holder") is Renewal.KEPT
        assert not await slots.try_acquire("waiter")
        assert await slots.renew("holder") is Renewal.WANTED


async def test_a_slot_can_be_given_back_a_little_later() -> None:
    async with shared_redis() as redis:
        slots = Slots(redis, "bulk", 1)
        assert await slots.try_acquire("cut off")
        await slots.release("cut off", after_s=0.05)
        assert not await slots.try_acquire("next")
        await anyio.sleep(0.07)
        assert await slots.try_acquire("next")
