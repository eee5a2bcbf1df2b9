import anyio

from hub.units.wakeup import Wakeup
from tests.virtual_time import virtual


@virtual
async def test_everybody_who_waits_is_woken_at_once_and_nobody_who_comes_later() -> None:
    wakeup, woken = Wakeup(), list[float]()

    async def wait(timeout_s: float | None) -> None:
        await wakeup.wait(timeout_s)
        woken.append(anyio.current_time())

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for timeout_s in (None, 60.0):
            tasks.start_soon(wait, timeout_s)
        await anyio.sleep(1)
        wakeup.wake()
        await anyio.sleep(1)
        tasks.start_soon(wait, 5.0)
    assert [at - began for at in woken] == [1.0, 1.0, 7.0]
