"""`hub bench equipment`: the costs of one feed, from the query to the reader, on the simulated plant."""

import gc
from collections.abc import Awaitable, Callable
from secrets import token_hex
from time import perf_counter
from typing import Any

import anyio
from anyio import to_thread

from hub.bench.timing import milliseconds, peak_rss_mb, rss_mb, run_lag
from hub.cache.redis import RedisClients, open_redis
from hub.equipment.feed import EquipmentFeed
from hub.equipment.machines import dump_plant, parse_plant
from hub.equipment.reads import Found, Lookup, Page
from hub.equipment.sample_view import SampleView
from hub.equipment.source import ViewSource
from hub.oracle.lanes import SyncLane
from hub.runtime.clock import Clock

_REFRESHES = 10
_READ_S = 0.5


async def run_equipment(
    machines: int = 2600, redis_url: str | None = None, refreshes: int = _REFRESHES, read_s: float = _READ_S
) -> dict[str, Any]:
    """The measurements of one feed as JSON values; rates are of one process, with JSON bodies, without HTTP."""
    gc.collect()
    gc.freeze()  # else each full collection scans all code again: 30 ms in which nothing else runs
    try:
        if redis_url is None:
            return await _measure(machines, None, refreshes, read_s)
        async with open_redis(redis_url, f"bench-{token_hex(4)}") as redis:
            try:
                return await _measure(machines, redis, refreshes, read_s)
            finally:
                with anyio.move_on_after(2, shield=True):
                    async for key in redis.commands.scan_iter(f"{redis.prefix}:*"):
                        await redis.commands.delete(key)
    finally:
        gc.unfreeze()


async def _measure(machines: int, redis: RedisClients | None, refreshes: int, read_s: float) -> dict[str, Any]:
    clock = Clock()
    memory_mb = rss_mb()
    view = SampleView(machines, seed=1, clock=clock)
    feed = EquipmentFeed("bench", ViewSource(SyncLane(view.connect), "select"), clock, 300.0, redis)
    published_s = await _timed(refreshes, lambda: feed.refresh(force=True))
    status, plant = feed.status(), feed.plant
    assert plant is not None
    payload = await to_thread.run_sync(dump_plant, plant)
    parsed_s = await _timed(refreshes, lambda: to_thread.run_sync(parse_plant, payload))
    ids = [machine.resource_id for machine in plant.machines]
    return {
        "rows": status["rows"],
        "machines": status["machines"],
        "redis": redis is not None and not status["degraded"],
        "query_to_published": published_s,
        "json_bytes": len(payload),
        "json_parse": parsed_s,
        "reads_per_s": {
            "by_id": _rate(lambda number: _one(feed, ids[number % len(ids)]), read_s),
            "by_100_ids": _rate(lambda number: _lookup(feed, ids, number), read_s),
            "whole_list": _rate(lambda number: _whole(feed), read_s),
            "whole_list_with_etag": _rate(lambda number: feed.head.etag, read_s),
        },
        "memory_mb": round(rss_mb() - memory_mb, 1),
        "peak_memory_mb": peak_rss_mb(),
    }


async def _timed(times: int, work: Callable[[], Awaitable[object]]) -> dict[str, Any]:
    """The durations of the work, and the longest block of the event loop meanwhile, in ms."""
    took_s: list[float] = []
    lags_s: list[float] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_lag, lags_s)
        await anyio.sleep(0.05)
        lags_s.clear()
        for _ in range(times):
            started = perf_counter()
            await work()
            took_s.append(perf_counter() - started)
        await anyio.sleep(0.05)
        tasks.cancel_scope.cancel()
    return {**milliseconds(took_s), "max_stall_ms": milliseconds(lags_s)["max_ms"]}


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
    """Reads per second, with their JSON bodies if they have one."""
    count, started = 0, perf_counter()
    while (took := perf_counter() - started) < seconds:
        for _ in range(10):
            read(count)
            count += 1
    return round(count / took)
