import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.units.fanout import Fanout

pytestmark = pytest.mark.anyio


async def test_everybody_gets_every_item_in_order() -> None:
    fanout: Fanout[int] = Fanout()
    with fanout.subscribe() as one, fanout.subscribe() as two:
        for item in range(5):
            fanout.publish_nowait(item)
        fanout.close()
        assert [item async for item in one] == [item async for item in two] == list(range(5))


@given(st.integers(1, 20), st.integers(0, 100))
def test_a_slow_subscriber_loses_the_oldest_and_knows_how_many(size: int, published: int) -> None:
    fanout: Fanout[int] = Fanout()
    with fanout.subscribe(size) as slow:
        for item in range(published):
            fanout.publish_nowait(item)
        assert slow.drain_nowait() == list(range(published))[-size:]
        assert slow.dropped == fanout.dropped == max(0, published - size)
    assert fanout.dropped == max(0, published - size)


async def test_a_waiting_subscriber_is_woken_by_an_item_and_by_the_end() -> None:
    fanout: Fanout[str] = Fanout()
    got: list[str] = []

    async def read() -> None:
        with fanout.subscribe() as subscription:
            async for item in subscription:
                got.append(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        fanout.publish_nowait("a")
        await anyio.wait_all_tasks_blocked()
        assert got == ["a"]
        fanout.close()
    assert fanout.subscribers == 0


async def test_a_subscriber_that_leaves_stalls_nobody() -> None:
    fanout: Fanout[int] = Fanout()
    with fanout.subscribe() as stays:
        with fanout.subscribe():
            fanout.publish_nowait(1)
        fanout.publish_nowait(2)
        assert stays.drain_nowait() == [1, 2]


async def test_subscribing_after_the_end_ends_at_once() -> None:
    fanout: Fanout[int] = Fanout()
    fanout.close()
    with fanout.subscribe() as late:
        assert [item async for item in late] == []
