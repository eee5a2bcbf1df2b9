"""Two hundred readers while Redis is stopped, restarted, flushed and slow: no wrong machine, no error, no wait."""

import os
from random import Random
from time import perf_counter

import anyio
import pytest

from hub.cache.redis import open_redis
from hub.equipment.feed import EquipmentFeed
from hub.equipment.reads import Found, Lookup, NotFound, Page
from hub.runtime.clock import Clock
from tests.hub.equipment.scripted import ScriptedView, machine
from tests.redis_server import eventually, private_redis, slow_road_to

pytestmark = pytest.mark.anyio

READERS = 200
MACHINES = 300
PHASE_S = 10.0 if os.environ.get("HUB_SOAK") == "1" else 0.6


class Readers:
    """Ask for everything that can be asked, and check each answer."""

    def __init__(self, feed: EquipmentFeed) -> None:
        self.feed = feed
        self.took_s: list[float] = []

    async def read(self, seed: int) -> None:
        random = Random(seed)
        while True:
            number = random.randrange(MACHINES + 20)
            started = perf_counter()
            answer = self.feed.get(f"{number:016x}")
            self.took_s.append(perf_counter() - started)
            if number < MACHINES:
                assert isinstance(answer, Found)
                assert answer.machine.resource_id == f"{number:016x}"
                assert answer.machine.equipment_id == f"GWBK-{number:04d}"
            else:
                assert isinstance(answer, NotFound)
            if not random.randrange(50):
                page, lookup = self.feed.list(limit=5), self.feed.lookup([f"{number:016x}", "nobody"])
                assert isinstance(page, Page)
                assert len(page.items) == 5
                assert isinstance(lookup, Lookup)
                assert "nobody" in lookup.missing
            await anyio.sleep(random.uniform(0.005, 0.05))


async def test_readers_are_not_affected_by_failures_of_redis() -> None:
    order = list(range(MACHINES))
    view = ScriptedView()

    def shuffle() -> None:  # each answer in another order: positions must not matter
        Random(view.queries).shuffle(order)
        view.show(*[machine(number) for number in order])

    shuffle()
    async with (
        private_redis() as server,
        slow_road_to(server.port) as road,
        open_redis(road.url, command_s=0.3) as redis,
    ):
        feed = EquipmentFeed("fab", view.source(), Clock(), 0.3, redis)
        readers = Readers(feed)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.run)
            await eventually(lambda: feed.head.generation is not None)
            for seed in range(READERS):
                tasks.start_soon(readers.read, seed)

            async def cycles() -> None:
                generation = feed.head.generation
                shuffle()
                await anyio.sleep(PHASE_S)
                await eventually(lambda: feed.head.generation != generation)

            await cycles()
            await server.stop()
            await eventually(lambda: feed.head.degraded)
            await cycles()
            await server.start()
            await eventually(lambda: not feed.head.degraded)
            await cycles()
            async with open_redis(server.url) as direct:
                await direct.commands.flushall()
            await cycles()
            road.delay_s = 2.0
            await eventually(lambda: feed.head.degraded)
            await cycles()
            road.delay_s = 0.0
            await eventually(lambda: not feed.head.degraded)
            await cycles()
            tasks.cancel_scope.cancel()
    took_s = sorted(readers.took_s)
    assert len(took_s) > 10_000
    assert took_s[int(0.99 * len(took_s))] < 0.001
