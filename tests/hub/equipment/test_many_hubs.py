"""Several hub processes on one Redis: how often they read the view, and what a killed reader costs."""

import os
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
from anyio.abc import Process

from hub.cache.redis import RedisClients
from hub.cache.versions import Versions
from hub.equipment.machines import parse_plant
from tests.redis_server import SHARED, eventually, shared_redis

pytestmark = pytest.mark.anyio

IS_SOAK = os.environ.get("HUB_SOAK") == "1"
CYCLES, INTERVAL_S = (20, 3.0) if IS_SOAK else (4, 1.0)


class Line(NamedTuple):
    at: float
    pid: int
    what: str


def lines(log: Path, what: str) -> list[Line]:
    if not log.exists():
        return []
    read = [text.split() for text in log.read_text().splitlines()]
    return [Line(float(at), int(pid), kind) for at, pid, kind in read if kind == what]


@asynccontextmanager
async def hubs(count: int, redis: RedisClients, log: Path, takes_s: float) -> AsyncIterator[list[Process]]:
    url = os.environ.get("HUB_TEST_REDIS", SHARED)
    arguments = [url, redis.prefix, str(INTERVAL_S), str(takes_s), str(log)]
    command = [sys.executable, "-m", "tests.hub.equipment.reader_process", *arguments]
    running: list[Process] = []
    try:
        for _ in range(count):
            running.append(await anyio.open_process(command, stdin=None, stdout=None, stderr=None))
        yield running
    finally:
        with anyio.CancelScope(shield=True):
            for process in running:
                if process.returncode is None:
                    process.kill()
                await process.wait()


async def test_four_hubs_ask_once_per_cycle(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with shared_redis() as redis, hubs(4, redis, log, takes_s=0.02):
        await eventually(lambda: len(lines(log, "start")) == 4, within_s=60)
        started = len(lines(log, "ask"))
        await eventually(lambda: len(lines(log, "ask")) >= started + CYCLES, within_s=CYCLES * INTERVAL_S * 2 + 30)
        asked = [line.at for line in lines(log, "ask")]
    gaps = [after - before for before, after in pairwise(asked)]
    cycles = (asked[-1] - asked[0]) / INTERVAL_S
    assert len(gaps) <= 1.05 * cycles
    assert max(gaps) <= (1.2 if IS_SOAK else 1.5) * INTERVAL_S


async def test_killing_the_reader_in_mid_query_costs_less_than_one_cycle(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with shared_redis() as redis, hubs(3, redis, log, takes_s=0.3) as running:
        await eventually(lambda: len(lines(log, "start")) == 3, within_s=60)
        await eventually(lambda: bool(lines(log, "answer")), within_s=60)
        answered = len(lines(log, "answer"))
        asked = len(lines(log, "ask"))
        await eventually(lambda: len(lines(log, "ask")) > asked, within_s=60)
        killed = lines(log, "ask")[asked]
        next(process for process in running if process.pid == killed.pid).kill()
        await eventually(lambda: len(lines(log, "answer")) > answered, within_s=60)
        await eventually(lambda: lines(log, "ask")[-1].at > killed.at, within_s=60)
        next_ask = next(line for line in lines(log, "ask") if line.at > killed.at)
        assert next_ask.pid != killed.pid
        assert next_ask.at - killed.at < 1.5 * INTERVAL_S
        versions = Versions(redis, "equipment")
        await eventually(lambda: is_published_after(versions, killed.at), within_s=60)


async def is_published_after(versions: Versions, time: float) -> bool:
    version = await versions.load("fab.v2")
    assert version.payload
    assert parse_plant(zlib.decompress(version.payload)).generation == version.generation
    return version.started_ms / 1000 > time


async def test_generations_only_rise_while_four_hubs_publish(tmp_path: Path) -> None:
    log = tmp_path / "log"
    seen: list[int] = []
    async with shared_redis() as redis, hubs(4, redis, log, takes_s=0.05):
        versions = Versions(redis, "equipment")

        async def has_seen_enough() -> bool:
            generation = (await versions.load("fab.v2")).generation
            if generation and generation != (seen[-1] if seen else 0):
                seen.append(generation)
            return len(seen) >= 3

        await eventually(has_seen_enough, within_s=60)
    assert seen == sorted(set(seen))
