import json

import pytest

from hub.bench.equipment import run
from tests.redis_server import shared_redis

pytestmark = pytest.mark.anyio


async def test_its_figures_are_json_and_none_is_nought() -> None:
    figures = json.loads(json.dumps(await run(machines=50, refreshes=2, read_s=0.01)))
    assert (figures["machines"], figures["redis"]) == (50, False)
    assert figures["query_to_published_ms"]["max"] >= figures["query_to_published_ms"]["median"] > 0
    assert all(rate > 0 for rate in figures["reads_per_s"].values())


async def test_with_redis_it_publishes_there() -> None:
    async with shared_redis() as redis:
        figures = await run(machines=50, refreshes=1, read_s=0.01, redis=redis)
        assert figures["redis"] is True
        assert [key async for key in redis.commands.scan_iter(f"{redis.prefix}:equipment:*")]
