"""`hub bench equipment`: what one feed costs, from the query to the reader, on the sample plant."""

import gc
import resource
from collections.abc import Callable
from time import perf_counter
from typing import Any

import anyio
from anyio import to_thread

from hub.cache.redis import RedisClients
from hub.clock import Clock
from hub.equipment.feed import EquipmentFeed
from hub.equipment.machines import dump_plant, parse_plant
from hub.equipment.reads import Found, Lookup, Page
from hub.equipment.sample_view import SampleView
from hub.equipment.source import ViewSource
from hub.oracle.lanes import SyncLane

TICK_S = 0.001


class StallWatch:
    """How long the loop stood still at worst: a tick that comes late was kept waiting."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            due = perf_counter() + TICK_S
            await anyio.sleep(TICK_S)
            self.worst_s = max(self.worst_s, perf_counter() - due)

    def take_ms(self) -> float:
        """The worst since the last question, in ms."""
        worst_s, self.worst_s = self.worst_s, 0.0
        return round(worst_s * 1000, 2)


async def run(
    machines: int = 2600, refreshes: int = 10, read_s: float = 0.5, redis: RedisClients | None = None
) -> dict[str, Any]:
    """Figures of one feed, JSON-ready; `*_per_s` are of one process, without HTTP. Takes about 5 s."""
    gc.collect()
    gc.freeze()  # as a hub does once it is up: else each full collection walks all its code again, 30 ms long
    try:
        return await _measure(machines, refreshes, read_s, redis)
    finally:
        gc.unfreeze()


async def _measure(machines: int, refreshes: int, read_s: float, redis: RedisClients | None) -> dict[str, Any]:
    clock = Clock()
    memory_before = _resident_mb()
    view = SampleView(machines, seed=1, clock=clock)
    feed = EquipmentFeed("bench", ViewSource(SyncLane(view.connect), "select"), clock, 300.0, redis)
    watch = StallWatch()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run)
        await anyio.sleep(0.05)
        watch.take_ms()
        published_ms = []
        for _ in range(refreshes):
            started = perf_counter()
            await feed.refresh(force=True)
            published_ms.append((perf_counter() - started) * 1000)
        refresh_stall_ms = watch.take_ms()
        status, plant = feed.status(), feed.plant
        assert plant is not None
        ids = [machine.resource_id for machine in plant.machines]
        payload = await to_thread.run_sync(dump_plant, plant)
        watch.take_ms()
        started = perf_counter()
        for _ in range(refreshes):
            await to_thread.run_sync(parse_plant, payload)
        parse_ms = (perf_counter() - started) * 1000 / refreshes
        parse_stall_ms = watch.take_ms()
        tasks.cancel_scope.cancel()
    return {
        "rows": status["rows"],
        "machines": status["machines"],
        "redis": redis is not None and not status["degraded"],
        "refreshes": refreshes,
        "query_to_published_ms": {"median": _median(published_ms), "max": round(max(published_ms), 1)},
        "refresh_max_stall_ms": refresh_stall_ms,
        "json_bytes": len(payload),
        "json_parse_ms": round(parse_ms, 1),
        "json_parse_max_stall_ms": parse_stall_ms,
        "reads_per_s": {
            "by_id": _rate(lambda number: _one(feed, ids[number % len(ids)]), read_s),
            "by_100_ids": _rate(lambda number: _lookup(feed, ids, number), read_s),
            "whole_list": _rate(lambda number: _whole(feed), read_s),
            "whole_list_with_etag": _rate(lambda number: feed.head.etag, read_s),
        },
        "memory_mb": round(_resident_mb() - memory_before, 1),
    }


def _one(feed: EquipmentFeed, resource_id: str) -> bytes:
    found = feed.get(resource_id)
    assert isinstance(found, Found)
    return found.body()


def _lookup(feed: EquipmentFeed, ids: list[str], number: int) -> bytes:
    start = number * 100 % len(ids)
    lookup = feed.lookup(ids[start : start + 100])
    assert isinstance(lookup, Lookup)
    return lookup.body()


def _whole(feed: EquipmentFeed) -> bytes:
    page = feed.list()
    assert isinstance(page, Page)
    return page.body()


def _rate(read: Callable[[int], object], seconds: float) -> int:
    """Reads per second, with their JSON bodies where they have one."""
    count, started = 0, perf_counter()
    while (took := perf_counter() - started) < seconds:
        for _ in range(10):
            read(count)
            count += 1
    return round(count / took)


def _median(values: list[float]) -> float:
    return round(sorted(values)[len(values) // 2], 1)


def _resident_mb() -> float:
    """The most memory this process has had so far, in MB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
