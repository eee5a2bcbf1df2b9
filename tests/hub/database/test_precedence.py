import anyio

from hub.database.precedence import Precedence
from tests.virtual_time import virtual


async def rush(precedence: Precedence, work_s: float, pause_s: float) -> None:
    """Urgent writers one after the other, until cancelled."""
    while True:
        with precedence.urgent():
            await anyio.sleep(work_s)
        await anyio.sleep(pause_s)


async def waited_s(precedence: Precedence) -> float:
    began_s = anyio.current_time()
    await precedence.wait_turn()
    return round(anyio.current_time() - began_s, 2)


@virtual
async def test_without_urgent_writers_the_others_do_not_wait() -> None:
    assert await waited_s(Precedence()) == 0


@virtual
async def test_the_others_wait_for_an_urgent_writer_and_a_moment_longer() -> None:
    precedence = Precedence()

    async def be_urgent() -> None:
        with precedence.urgent():
            await anyio.sleep(0.2)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(be_urgent)
        await anyio.sleep(0.01)
        assert 0.29 <= await waited_s(precedence) <= 0.31
    assert await waited_s(precedence) == 0


@virtual
async def test_a_long_rush_delays_the_others_once() -> None:
    precedence = Precedence()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rush, precedence, 0.1, 0.05)
        await anyio.sleep(0.01)
        assert 0.34 <= await waited_s(precedence) <= 0.36
        assert await waited_s(precedence) == 0
        tasks.cancel_scope.cancel()


@virtual
async def test_a_hanging_urgent_writer_delays_the_others_no_longer_than_the_limit() -> None:
    precedence = Precedence()
    with precedence.urgent():
        assert 0.35 <= await waited_s(precedence) <= 0.37


@virtual
async def test_short_rushes_in_a_row_leave_the_others_half_of_the_time() -> None:
    precedence, passed = Precedence(), 0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rush, precedence, 0.01, 0.105)
        await anyio.sleep(0.005)
        ends_s = anyio.current_time() + 20
        while anyio.current_time() < ends_s:
            await precedence.wait_turn()
            await anyio.sleep(0.005)
            passed += 1
        tasks.cancel_scope.cancel()
    assert passed * 0.005 > 9
