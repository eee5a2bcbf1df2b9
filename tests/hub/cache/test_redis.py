import anyio
import pytest
from pydantic import SecretStr

from hub.cache.redis import REDIS_FAILURES, open_redis
from tests.redis_server import private_redis, slow_road_to

pytestmark = pytest.mark.anyio


async def test_parts_of_a_key_cannot_run_into_each_other() -> None:
    async with open_redis("redis://127.0.0.1:1/0", "hub") as redis:
        assert redis.key("a:b", "c") != redis.key("a", "b:c")
        assert redis.key("fab", "v1") == "hub:fab:v1"


async def test_a_dead_redis_fails_at_once() -> None:
    async with open_redis(SecretStr("redis://:secret@127.0.0.1:1/0")) as redis:
        with anyio.fail_after(1), pytest.raises(REDIS_FAILURES) as caught:
            await redis.commands.ping()
    assert "secret" not in str(caught.value) + repr(redis)


async def test_the_first_command_after_a_restart_of_redis_works() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        await redis.commands.ping()
        await server.stop()
        await server.start()
        assert await redis.commands.ping()


async def test_a_slow_redis_fails_at_the_deadline() -> None:
    async with (
        private_redis() as server,
        slow_road_to(server.port) as road,
        open_redis(road.url, command_s=2) as redis,
    ):
        assert await redis.commands.ping()
        road.delay_s = 60
        with anyio.fail_after(30), pytest.raises(REDIS_FAILURES):
            await redis.commands.ping()
