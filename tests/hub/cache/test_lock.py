import anyio
import pytest

from hub.cache.lock import Lease, Lock, LockHeld
from hub.cache.redis import REDIS_FAILURES, RedisClients, open_redis
from tests.redis_server import eventually, private_redis, shared_redis

pytestmark = pytest.mark.anyio


async def generation(lock: Lock, above: int = 0) -> int:
    async with lock.hold(above) as lease:
        assert isinstance(lease, Lease)
        return lease.generation


def key_of(redis: RedisClients) -> str:
    return redis.key("lock", "sync")


async def test_one_process_holds_the_lock_and_the_others_learn_for_how_long() -> None:
    async with shared_redis() as redis:
        first, second = Lock(redis, "sync", 5), Lock(redis, "sync", 5)
        async with first.hold() as lease, second.hold() as refused:
            assert isinstance(lease, Lease)
            assert isinstance(refused, LockHeld)
            assert 4 < refused.remaining_s <= 5
        assert await redis.commands.get(key_of(redis)) is None


async def test_each_holder_has_a_greater_generation() -> None:
    async with shared_redis() as redis:
        lock = Lock(redis, "sync", 5)
        numbers = [await generation(lock) for _ in range(3)]
        assert numbers == sorted(set(numbers))


async def test_generations_go_on_over_a_flush_and_above_what_the_caller_knows() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        lock = Lock(redis, "sync", 5)
        before = await generation(lock)
        await redis.commands.flushall()
        after = await generation(lock)
        assert after > before
        ahead = after + 1_000_000
        assert await generation(lock, above=ahead) == ahead + 1


async def test_it_is_renewed_while_held() -> None:
    async with shared_redis() as redis:
        lock, other = Lock(redis, "sync", 0.3), Lock(redis, "sync", 0.3)
        async with lock.hold() as lease:
            assert isinstance(lease, Lease)
            await anyio.sleep(0.7)
            async with other.hold() as refused:
                assert isinstance(refused, LockHeld)
            assert not lease.is_lost


async def test_a_lock_that_another_took_is_lost_and_not_released_by_the_first() -> None:
    async with shared_redis() as redis:
        async with Lock(redis, "sync", 0.3).hold() as lease:
            assert isinstance(lease, Lease)
            await redis.commands.set(key_of(redis), "another")
            await eventually(lambda: lease.is_lost)
        assert await redis.commands.get(key_of(redis)) == b"another"


async def test_a_dead_holder_frees_it_after_the_ttl() -> None:
    async with shared_redis() as redis:
        await redis.commands.set(key_of(redis), "dead", px=200)
        lock = Lock(redis, "sync", 5)
        with anyio.fail_after(3):
            while True:
                async with lock.hold() as lease:
                    if isinstance(lease, Lease):
                        break
                    await anyio.sleep(lease.remaining_s + 0.01)


async def test_cancelling_the_holder_releases_it() -> None:
    async with shared_redis() as redis:
        with anyio.move_on_after(0.05):
            async with Lock(redis, "sync", 30).hold():
                await anyio.sleep_forever()
        assert await redis.commands.get(key_of(redis)) is None


async def test_a_redis_lost_while_held_loses_the_lock_but_not_the_work() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        async with Lock(redis, "sync", 0.3).hold() as lease:
            assert isinstance(lease, Lease)
            await server.stop()
            await eventually(lambda: lease.is_lost)
        with pytest.raises(REDIS_FAILURES):
            await generation(Lock(redis, "sync", 1))
