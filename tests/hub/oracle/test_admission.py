import anyio
import pytest

from hub.oracle.admission import Admission, LaneBusy
from tests.elapsed import takes_less_than
from tests.virtual_time import virtual

pytestmark = pytest.mark.anyio


async def hold(admission: Admission, inside: list[str], name: str, leave: anyio.Event) -> None:
    async with admission.slot():
        inside.append(name)
        await leave.wait()


async def test_so_many_at_once_and_the_next_in_order_of_arrival() -> None:
    admission = Admission("bulk", slots=1, waiters=5, wait_s=5)
    inside: list[str] = []
    leave = [anyio.Event() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        for name, event in zip("abc", leave, strict=True):
            tasks.start_soon(hold, admission, inside, name, event)
            await anyio.wait_all_tasks_blocked()
        assert (inside, admission.waiting) == (["a"], 2)
        leave[0].set()
        await anyio.wait_all_tasks_blocked()
        assert inside == ["a", "b"]
        leave[1].set()
        leave[2].set()
    assert inside == ["a", "b", "c"]


@virtual
async def test_too_many_waiters_are_refused_at_once_with_a_time_to_retry() -> None:
    admission = Admission("bulk", slots=1, waiters=0, wait_s=60)
    leave = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold, admission, [], "a", leave)
        await anyio.wait_all_tasks_blocked()
        with takes_less_than(0.001), pytest.raises(LaneBusy) as refusal:
            async with admission.slot():
                raise AssertionError("there was no free slot")
        leave.set()
    assert (refusal.value.lane, refusal.value.code) == ("bulk", "BUSY")
    assert refusal.value.retry_after_s >= 1
    assert admission.refused == 1


@virtual
async def test_a_waiter_gives_up_at_its_deadline_and_leaves_the_queue() -> None:
    admission = Admission("bulk", slots=1, waiters=5, wait_s=0.02)
    leave = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold, admission, [], "a", leave)
        await anyio.wait_all_tasks_blocked()
        with takes_less_than(0.021), pytest.raises(LaneBusy):
            async with admission.slot():
                raise AssertionError("there was no free slot")
        assert admission.waiting == 0
        leave.set()
    async with admission.slot():
        assert admission.refused == 1


async def test_a_cancelled_caller_frees_its_slot() -> None:
    admission = Admission("bulk", slots=1, waiters=0, wait_s=1)
    with anyio.move_on_after(0.01):
        async with admission.slot():
            await anyio.sleep_forever()
    async with admission.slot():
        assert admission.waiting == 0
