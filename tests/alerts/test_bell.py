import threading

import anyio
import pytest

from alerts.bell import Bell

pytestmark = pytest.mark.anyio


async def test_it_wakes_a_task_from_another_thread() -> None:
    with Bell() as bell, anyio.fail_after(60):
        thread = threading.Timer(0.01, bell.ring)
        thread.start()
        await bell.wait()
        await anyio.to_thread.run_sync(thread.join)


async def test_rings_before_the_wait_are_one() -> None:
    with Bell() as bell:
        for _ in range(4000):
            bell.ring()
        with anyio.fail_after(60):
            await bell.wait()
        with anyio.move_on_after(0.02) as waited:
            await bell.wait()
        assert waited.cancelled_caught


async def test_ringing_never_waits_though_nobody_listens() -> None:
    with Bell() as bell:
        for _ in range(100_000):
            bell.ring()
