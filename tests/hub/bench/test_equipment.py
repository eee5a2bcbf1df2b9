import json
import os

import pytest

from hub.bench.equipment import run_equipment
from tests.redis_server import SHARED, shared_redis

pytestmark = pytest.mark.anyio


async def test_its_figures_are_json_and_none_is_nought() -> None:
    figures = json.loads(json.dumps(await run_equipment(machines=50, refreshes=2, read_s=0.01)))
    assert (figures["rows"], figures["machines"], figures["redis"]) == (54, 50, False)
    assert figures["query_to_published"]["max_ms"] >= figures["query_to_published"]["p50_ms"] > 0
    assert all(rate > 0 for rate in figures["reads_per_s"].values())


async def test_with_redis_it_publishes_there_and_leaves_nothing() -> None:
    async with shared_redis() as redis:
        url = os.environ.get("HUB_TEST_REDIS", SHARED)
        figures = await run_equipment(machines=50, redis_url=url, refreshes=1, read_s=0.01)
        assert figures["redis"] is True
        assert [key async for key in redis.commands.scan_iter("bench-*")] == []
