import anyio
import pytest
from pydantic import SecretStr

from hub.cache.redis import REDIS_FAILURES, open_redis, url_problem
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


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://me:pw@h:6379/0",
        "redis://h/3?socket_timeout=2&socket_connect_timeout=0.5&max_connections=8&health_check_interval=30",
        "redis://h?db=2&protocol=3&client_name=hub&username=a&password=b",
        "rediss://h/0?ssl_cert_reqs=none&ssl_ca_certs=ca.pem&ssl_check_hostname=false",
        "unix:///run/redis.sock?db=2",
    ],
)
def test_a_url_that_the_client_takes_has_no_problem(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h/0?socket_timeout=hunter2", "socket_timeout"),
        ("redis://h/0?socket_timeout=-1", "socket_timeout"),
        ("redis://h/0?socket_timeout=", "socket_timeout"),
        ("redis://h/0?socket_connect_timeout=nan", "socket_connect_timeout"),
        ("redis://h/0?health_check_interval=hunter2", "health_check_interval"),
        ("redis://h/0?protocol=9", "protocol"),
        ("redis://h?db=-1", "db"),
        ("redis://h/hunter2", "number of a database"),
        ("redis://h/0?timeout=1", "timeout"),
        ("redis://h/0?decode_responses=true", "decode_responses"),
        ("redis://h/0?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("rediss://h/0?ssl_cert_reqs=hunter2", "ssl_cert_reqs"),
    ],
)
def test_what_the_client_would_crash_on_is_named_without_its_value(url: str, said: str) -> None:
    problem = url_problem(url)
    assert problem is not None
    assert said in problem
    assert "hunter2" not in problem


async def test_a_deadline_for_commands_does_not_end_the_listening() -> None:
    async with open_redis("redis://127.0.0.1:1/0?socket_timeout=0.5") as redis:
        assert redis.commands.connection_pool.connection_kwargs["socket_timeout"] == 0.5
        assert redis.stream.connection_pool.connection_kwargs["socket_timeout"] is None
