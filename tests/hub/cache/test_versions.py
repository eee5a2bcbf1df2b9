import anyio
import pytest

from hub.cache.redis import RedisClients
from hub.cache.versions import KEEP_S, Versions
from tests.redis_server import shared_redis

pytestmark = pytest.mark.anyio


async def snapshots(redis: RedisClients) -> list[str]:
    return sorted([key.decode() async for key in redis.commands.scan_iter(f"{redis.prefix}:things:k:*")])


async def test_an_unpublished_key_has_generation_0() -> None:
    async with shared_redis() as redis:
        version = await Versions(redis, "things").load("k")
        assert (version.generation, version.payload) == (0, None)
        assert version.now_ms > 1_700_000_000_000


async def test_the_payload_comes_only_when_its_generation_is_not_known() -> None:
    async with shared_redis() as redis:
        versions = Versions(redis, "things")
        await versions.publish("k", 5, 1000, b"five")
        assert (await versions.load("k")).payload == b"five"
        known = await versions.load("k", 5)
        assert (known.generation, known.started_ms, known.payload) == (5, 1000, None)


async def test_a_lower_generation_is_refused_and_changes_nothing() -> None:
    async with shared_redis() as redis:
        versions = Versions(redis, "things")
        await versions.publish("k", 5, 1000, b"five")
        assert (await versions.publish("k", 4, 2000, b"four"))[0] == 0
        assert (await versions.load("k")).payload == b"five"
        assert len(await snapshots(redis)) == 1


async def test_generation_0_takes_the_next_one() -> None:
    async with shared_redis() as redis:
        versions = Versions(redis, "things")
        first, _ = await versions.publish("k", 0, 1000, b"a")
        second, _ = await versions.publish("k", 0, 1000, b"b")
        assert 0 < first < second
        ahead = second + 10**9
        await versions.publish("k", ahead, 1000, b"c")
        assert (await versions.publish("k", 0, 1000, b"d"))[0] == ahead + 1


async def test_all_keys_run_out_and_an_overtaken_snapshot_soon() -> None:
    async with shared_redis() as redis:
        versions = Versions(redis, "things")
        await versions.publish("k", 1, 1000, b"a")
        await versions.publish("k", 2, 1000, b"b")
        old, new = await snapshots(redis)
        assert 0 < await redis.commands.ttl(old) <= 60
        assert KEEP_S - 60 < await redis.commands.ttl(new) <= KEEP_S
        assert KEEP_S - 60 < await redis.commands.ttl(redis.key("things", "k")) <= KEEP_S


async def test_readers_never_see_one_half_of_a_switch() -> None:
    async with shared_redis() as redis:
        versions = Versions(redis, "things")
        await versions.publish("k", 1, 1, b"1")
        done = anyio.Event()

        async def write() -> None:
            for generation in range(2, 200):
                await versions.publish("k", generation, generation, b"%d" % generation)
            done.set()

        async def read() -> None:
            while not done.is_set():
                version = await versions.load("k")
                assert version.payload == b"%d" % version.generation == b"%d" % version.started_ms

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            for _ in range(5):
                tasks.start_soon(read)


async def test_a_refused_answer_moves_only_the_check() -> None:
    async with shared_redis() as redis:
        versions = Versions(redis, "things")
        await versions.mark_checked("k", 50)
        assert (await versions.load("k")).generation == 0
        await versions.publish("k", 1, 100, b"a")
        await versions.mark_checked("k", 200)
        version = await versions.load("k")
        assert (version.started_ms, version.checked_ms, version.payload) == (100, 200, b"a")


async def test_why_an_answer_was_refused_is_there_until_one_is_published() -> None:
    async with shared_redis() as redis:
        versions = Versions(redis, "things")
        await versions.mark_checked("k", 50, "the view is empty")
        assert (await versions.load("k")).note == "the view is empty"
        await versions.publish("k", 1, 100, b"a")
        assert (await versions.load("k")).note is None
        await versions.mark_checked("k", 200, "the view has half")
        version = await versions.load("k", 1)
        assert (version.note, version.payload) == ("the view has half", None)


async def test_deleting_leaves_a_mark_that_says_so() -> None:
    async with shared_redis() as redis:
        versions = Versions(redis, "things")
        await versions.publish("k", 1, 100, b"a")
        await versions.publish("k", 0, 0, b"")
        version = await versions.load("k", 1)
        assert version.generation > 1
        assert version.payload == b""
