"""`hub bench fanout`: the cost of publishing one event to many subscribers, one of which does not read."""

import time
from typing import Any

import anyio

from hub.units.fanout import Fanout, Subscription

_QUEUE = 256


async def run_fanout(subscribers: int, events: int) -> dict[str, Any]:
    """Publish `events` to `subscribers` readers, and to one more that does not read."""
    fanout: Fanout[int] = Fanout()
    received = [0] * subscribers

    async def read(index: int, subscription: Subscription[int]) -> None:
        async for _ in subscription:
            received[index] += 1

    with fanout.subscribe(_QUEUE) as unread:
        async with anyio.create_task_group() as readers:
            for index in range(subscribers):
                readers.start_soon(_subscribed, fanout, read, index)
            await anyio.wait_all_tasks_blocked()
            began_s, publishing_s = time.perf_counter(), 0.0
            for event in range(events):
                published_s = time.perf_counter()
                fanout.publish_nowait(event)
                publishing_s += time.perf_counter() - published_s
                if event % (_QUEUE // 2) == 0:
                    await anyio.wait_all_tasks_blocked()
            await anyio.wait_all_tasks_blocked()
            took_s = time.perf_counter() - began_s
            fanout.close()
        lost = unread.dropped
    return {
        "subscribers": subscribers,
        "events": events,
        "deliveries_per_s": round(sum(received) / took_s),
        "publish_us": round(publishing_s / events * 1e6, 2),
        "missed_by_readers": subscribers * events - sum(received),
        "dropped_for_the_deaf_one": lost,
    }


async def _subscribed(fanout: Fanout[int], read: Any, index: int) -> None:
    with fanout.subscribe(_QUEUE) as subscription:
        await read(index, subscription)
