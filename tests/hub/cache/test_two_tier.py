import json
import zlib
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from hub.cache.memory import Entry, Tier
from hub.cache.redis import RedisClients, open_redis
from hub.cache.two_tier import Stored, TwoTier
from hub.runtime.clock import Clock
from tests.redis_server import eventually, private_redis, shared_redis, slow_road_to

pytestmark = pytest.mark.anyio

Value = tuple[Any, ...]


class SetClock(Clock):
    """A clock that also moves by hand."""

    ahead_s = 0.0

    def steady(self) -> float:
        return super().steady() + self.ahead_s


def dump(value: Value) -> bytes:
    return json.dumps(value).encode()


def parse(payload: bytes) -> Value:
    return tuple(json.loads(payload))


def cache(redis: RedisClients | None, clock: Clock | None = None, **options: Any) -> TwoTier[Value]:
    return TwoTier("things", redis, dump, parse, clock or Clock(), **options)


def now_ms() -> int:
    return round(Clock().now().timestamp() * 1000)


async def test_without_redis_the_process_tier_serves_alone() -> None:
    alone = cache(None)
    assert await alone.get("k") is None
    assert await alone.put("k", 5, now_ms(), (1, 2)) is Stored.LOCAL
    entry = await alone.get("k")
    assert entry is not None
    assert (entry.generation, entry.value, entry.tier) == (5, (1, 2), Tier.L1)
    assert alone.degraded is None


async def test_another_process_reads_what_one_published() -> None:
    async with shared_redis() as redis:
        writer, reader = cache(redis), cache(redis)
        assert await writer.put("k", 7, now_ms() - 2000, (1,))
        entry = await reader.get("k")
        assert entry is not None
        assert (entry.generation, entry.value, entry.tier) == (7, (1,), Tier.L2)
        assert 1.9 < Clock().steady() - entry.time < 3


async def test_an_old_result_never_overwrites_a_newer_one() -> None:
    async with shared_redis() as redis:
        slow, quick = cache(redis), cache(redis)
        assert await quick.put("k", 9, now_ms(), ("new",)) is Stored.SHARED
        assert await slow.put("k", 8, now_ms(), ("old",)) is Stored.OLDER
        for each in (slow, quick, cache(redis)):
            entry = await each.get("k")
            assert entry is not None
            assert entry.value == ("new",)


async def test_within_its_ttl_a_value_costs_no_question() -> None:
    async with shared_redis() as redis:
        clock = SetClock()
        one, other = cache(redis, clock, ttl_s=30), cache(redis)
        await one.put("k", 1, now_ms(), (1,))
        await other.put("k", 2, now_ms(), (2,))
        entry = await one.get("k")
        assert entry is not None
        assert entry.value == (1,)
        clock.ahead_s = 31
        entry = await one.get("k")
        assert entry is not None
        assert entry.value == (2,)
        assert (one.counters.hits, one.counters.misses, one.counters.loads) == (1, 1, 1)


async def test_an_unmoved_generation_is_not_loaded_again() -> None:
    async with shared_redis() as redis:
        clock = SetClock()
        one = cache(redis, clock)
        await one.put("k", 1, now_ms(), (1,))
        first = one.peek("k")
        clock.ahead_s = 31
        assert await one.get("k") is first
        assert (one.counters.misses, one.counters.loads) == (1, 0)


async def test_a_hundred_readers_load_once() -> None:
    async with shared_redis() as redis:
        await cache(redis).put("k", 1, now_ms(), (1,))
        reader = cache(redis)
        found: list[Entry[Value] | None] = []

        async def read() -> None:
            found.append(await reader.get("k"))

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(read)
        assert {entry.value for entry in found if entry} == {(1,)}
        assert len(found) == 100
        assert (reader.counters.loads, reader.counters.misses) == (1, 1)


async def test_a_cancelled_loader_leaves_the_load_to_the_next() -> None:
    async with shared_redis() as redis:
        await cache(redis).put("k", 1, now_ms(), (1,))
        reader = cache(redis)
        scope = anyio.CancelScope()
        found: list[Entry[Value] | None] = []

        async def first() -> None:
            with scope:
                await reader.get("k")

        async def second() -> None:
            found.append(await reader.get("k"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            tasks.start_soon(second)
            await checkpoint()
            scope.cancel()
        assert [entry.value for entry in found if entry] == [(1,)]


async def test_the_longest_unused_key_goes_first() -> None:
    small = cache(None, size=2)
    for number, key in enumerate("abc", start=1):
        await small.put(key, number, now_ms(), (key,))
        await small.get("a")
    assert [key for key in "abc" if small.peek(key)] == ["a", "c"]
    assert small.evicted == 1


async def test_a_publication_reaches_the_others_by_message() -> None:
    async with shared_redis() as redis:
        arrived = anyio.Event()
        reader = cache(redis, ttl_s=60, on_entry=lambda key, entry: arrived.set())
        assert reader.versions is not None
        channel = reader.versions.channel

        async def has_listener() -> bool:
            return bool((await redis.commands.pubsub_numsub(channel))[0][1])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader.run, ("k",))
            await eventually(has_listener)
            await cache(redis).put("k", 3, now_ms(), (3,))
            with anyio.fail_after(5):
                await arrived.wait()
            tasks.cancel_scope.cancel()
        entry = reader.peek("k")
        assert entry is not None
        assert entry.value == (3,)


async def test_a_deleted_value_is_gone_everywhere() -> None:
    async with shared_redis() as redis:
        clock = SetClock()
        one, other = cache(redis), cache(redis, clock)
        await one.put("k", 1, now_ms(), (1,))
        assert await other.get("k") is not None
        await one.delete("k")
        clock.ahead_s = 31
        assert await one.get("k") is None
        assert await other.get("k") is None


async def test_a_value_deleted_while_redis_is_away_is_gone_here_at_once_and_everywhere_when_it_is_back() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        one = cache(redis)
        await one.put("k", 1, now_ms(), (1,))
        await one.put("other", 1, now_ms(), (2,))
        places = [redis.key("things", "k"), redis.key("things", "k") + ":1"]
        kept = [await redis.commands.dump(place) or b"" for place in places]
        await server.stop()
        assert await one.delete("k") is Stored.LOCAL
        assert one.peek("k") is None
        assert one.degraded is not None
        assert await one.get("k") is None
        await server.start()
        for place, value in zip(places, kept, strict=True):
            await redis.commands.restore(place, 0, value)
        assert await one.get("k") is None, "the deletion comes before the answer"
        assert await cache(redis).get("k") is None
        assert one.degraded is None
        assert await one.delete("other") is Stored.SHARED


async def test_each_cache_has_a_life_in_redis_of_its_own() -> None:
    async with shared_redis() as redis:
        for name, keep_s in (("short", 60), ("long", 600)):
            one = TwoTier(name, redis, dump, parse, Clock(), keep_s=keep_s)
            await one.put("k", 1, now_ms(), (1,))
            for key in (redis.key(name, "k"), redis.key(name, "k") + ":1"):
                assert keep_s - 30 < await redis.commands.ttl(key) <= keep_s


async def test_the_figures_of_a_cache() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        one = cache(redis, size=2)
        for key in "abc":
            await one.put(key, 1, now_ms(), (1,))
        await one.get("c")
        await one.get("nothing")
        figures = one.figures("things")
        assert (figures.name, figures.enabled, figures.entries, figures.size) == ("things", True, 2, 2)
        assert (figures.hits, figures.misses, figures.evictions, figures.failures) == (1, 1, 1, 0)
        await server.stop()
        await one.delete("c")
        assert (one.figures("things").enabled, one.figures("things").failures) == (False, 1)
    assert not cache(None).figures("things").enabled


async def test_a_value_that_cannot_be_read_is_counted_and_not_served() -> None:
    async with shared_redis() as redis:
        reader = cache(redis)
        assert reader.versions is not None
        for number, payload in enumerate((b"not packed", zlib.compress(b"{not json")), start=1):
            await reader.versions.publish("k", number, now_ms(), payload)
            assert await reader.get("k") is None
            assert reader.counters.corrupt == number


async def test_a_dead_redis_leaves_the_last_value_marked_degraded_until_it_is_back() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        clock = SetClock()
        one = cache(redis, clock)
        await one.put("k", 1, now_ms(), (1,))
        await server.stop()
        clock.ahead_s = 31
        entry = await one.get("k")
        assert entry is not None
        assert entry.value == (1,)
        assert one.degraded is not None
        failures = one.counters.redis_failures
        await one.get("k")
        assert one.counters.redis_failures == failures
        await server.start()
        clock.ahead_s = 62
        entry = await one.get("k")
        assert entry is not None
        assert entry.value == (1,)
        assert one.degraded is None


async def test_what_a_dead_redis_could_not_take_still_serves_this_process() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        await server.stop()
        one = cache(redis)
        assert await one.put("k", 1, now_ms(), (1,)) is Stored.LOCAL
        assert one.peek("k") is not None
        assert one.degraded is not None


async def test_the_listener_survives_a_restart_of_redis() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        arrived = anyio.Event()
        reader = cache(redis, ttl_s=60, on_entry=lambda key, entry: arrived.set())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader.run, ("k",))
            await anyio.sleep(0.1)
            await server.stop()
            await server.start()
            with anyio.fail_after(10):
                await cache(redis).put("k", 3, now_ms(), (3,))
                await arrived.wait()
            tasks.cancel_scope.cancel()
        assert reader.degraded is None


async def test_a_slow_redis_costs_one_reader_the_deadline_and_the_held_value_serves() -> None:
    async with (
        private_redis() as server,
        slow_road_to(server.port) as road,
        open_redis(road.url, command_s=0.2) as redis,
    ):
        clock = SetClock()
        one = cache(redis, clock)
        await one.put("k", 1, now_ms(), (1,))
        road.delay_s = 2
        clock.ahead_s = 31
        with anyio.fail_after(1):
            entry = await one.get("k")
        assert entry is not None
        assert one.degraded is not None
