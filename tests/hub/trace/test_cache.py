import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.cache.redis import open_redis
from hub.runtime.clock import Clock
from hub.trace.cache import MAX_ANSWER, Answer, EventCache, digest_of
from hub.trace.domains import DOMAINS, DomainName
from tests.hub.equipment.scripted import SetClock
from tests.redis_server import private_redis, shared_redis

pytestmark = pytest.mark.anyio

HISTORY, HOLDS = DOMAINS[DomainName.HISTORY], DOMAINS[DomainName.HOLDS]
DIGEST = digest_of(["a", "b"])
ANSWER = Answer(b'{"A":1}\n', 1)


@given(st.sets(st.text(max_size=5), max_size=5), st.sets(st.text(max_size=5), max_size=5))
def test_a_digest_is_of_the_set_and_of_nothing_else(one: set[str], other: set[str]) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)
    assert digest_of(sorted(one)) == digest_of(sorted(one, reverse=True))
    assert len(digest_of(one)) == 64


async def test_an_answer_is_kept_for_as_long_as_its_domain_allows() -> None:
    clock = SetClock()
    cache = EventCache(None, clock)
    await cache.put(HISTORY, DIGEST, ANSWER, age_s=100)
    assert await cache.get(HISTORY, DIGEST) == ANSWER
    clock.ahead_s = 199
    assert await cache.get(HISTORY, DIGEST) == ANSWER
    clock.ahead_s = 201
    assert await cache.get(HISTORY, DIGEST) is None
    assert await cache.get(HOLDS, DIGEST) is None
    assert (cache.counters.hits, cache.counters.misses) == (2, 2)


async def test_memory_has_a_size_and_the_longest_unused_goes_first() -> None:
    cache = EventCache(None, Clock(), size=25)
    for name in "abc":
        await cache.put(HISTORY, name, Answer(b"0123456789", 1), 0)
        await cache.get(HISTORY, "a")
    assert await cache.get(HISTORY, "b") is None
    assert await cache.get(HISTORY, "a") is not None
    assert cache.counters.evicted == 1


async def test_what_is_too_large_or_too_old_is_not_kept() -> None:
    cache = EventCache(None, Clock())
    await cache.put(HISTORY, "large", Answer(b"x" * (MAX_ANSWER + 1), 1), 0)
    await cache.put(HISTORY, "old", ANSWER, age_s=300)
    assert await cache.get(HISTORY, "large") is None
    assert await cache.get(HISTORY, "old") is None


async def test_another_process_finds_it_in_redis() -> None:
    async with shared_redis() as redis:
        ours, theirs = EventCache(redis, Clock()), EventCache(redis, Clock())
        await ours.put(HISTORY, DIGEST, ANSWER, 0)
        assert await theirs.get(HISTORY, DIGEST) == ANSWER
        assert await theirs.get(HOLDS, DIGEST) is None
        assert 290_000 < await redis.commands.pttl(redis.key("evt", "history-v1", DIGEST)) <= 300_000


async def test_an_entry_that_is_of_other_ids_or_unreadable_is_not_served() -> None:
    async with shared_redis() as redis:
        cache = EventCache(redis, Clock())
        await cache.put(HISTORY, DIGEST, ANSWER, 0)
        stored = await redis.commands.get(redis.key("evt", "history-v1", DIGEST))
        assert stored is not None
        await redis.commands.set(redis.key("evt", "history-v1", "other"), stored, px=10_000)
        await redis.commands.set(redis.key("evt", "history-v1", "broken"), b"{}\nxx", px=10_000)
        assert await cache.get(HISTORY, "other") is None
        assert await cache.get(HISTORY, "broken") is None


async def test_a_dead_redis_costs_the_second_tier_and_nothing_else() -> None:
    async with private_redis() as server, open_redis(server.url) as redis:
        cache = EventCache(redis, Clock())
        await server.stop()
        await cache.put(HISTORY, DIGEST, ANSWER, 0)
        assert await cache.get(HISTORY, DIGEST) == ANSWER
        assert await cache.get(HOLDS, DIGEST) is None
        assert cache.counters.redis_failures == 2
