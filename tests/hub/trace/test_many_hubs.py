"""Four processes on one Redis and one database; the server counts their sessions."""

import json
import os
import sys

import anyio
import pytest

from hub.simulators.oracle import open_oracle
from tests.redis_server import SHARED, shared_redis

pytestmark = pytest.mark.anyio

HUBS, CAP, IDS = 4, 3, 999 * 6


async def test_four_hubs_never_have_more_bulk_sessions_than_the_fleet_may() -> None:
    async with shared_redis() as redis, open_oracle() as server:
        server.faults.service_s = {"LOTWIPHISTORY": (0.02, 0.06)}
        qualities: list[dict[str, object]] = []

        async def hub(number: int) -> None:
            url = os.environ.get("HUB_TEST_REDIS", SHARED)
            arguments = (server.dsn, url, redis.prefix, CAP, number * IDS, IDS)
            command = [sys.executable, "-m", "tests.hub.trace.hub_process", *map(str, arguments)]
            done = await anyio.run_process(command, stderr=None)
            qualities.append(json.loads(done.stdout))

        async with anyio.create_task_group() as tasks:
            for number in range(HUBS):
                tasks.start_soon(hub, number)
        assert [one["status"] for one in qualities] == ["complete"] * HUBS
        assert [one["observed_rows"] for one in qualities] == [3 * IDS] * HUBS
        assert server.counters.peak_sessions == CAP
        assert server.counters.rows == HUBS * 3 * IDS
