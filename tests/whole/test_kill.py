"""SIGKILL at any moment: no committed transition is lost or told under two names, nothing is told of twice."""

import os
import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from alerts.model.delivery import delivery_id
from tests.whole.running_hub import eventually
from tests.whole.site import LOUD, QUIET, Site, open_site

pytestmark = pytest.mark.anyio

UNITS = 20
LOST_AT_MOST_S = 1.0
_LOOK_S = 0.05
_SEQUENCES_PER_BOOT = 1 << 32


def kills() -> int:
    """How often to kill: a sample, or the long count of `make soak`."""
    return 50 if os.environ.get("HUB_SOAK") else 5


@pytest.mark.timeout(900)
async def test_no_kill_loses_or_doubles_what_was_decided(tmp_path: Path) -> None:
    async with open_site(tmp_path, UNITS) as site:
        await _kill_again_and_again(site, kills())


@pytest.mark.timeout(900)
async def test_no_kill_does_so_on_postgresql_either(tmp_path: Path, empty_postgres: str) -> None:
    async with open_site(tmp_path, UNITS) as site:
        site.config["database"] = {"url": empty_postgres}
        site.postgres = empty_postgres
        await _kill_again_and_again(site, kills() // 2)


async def _kill_again_and_again(site: Site, count: int) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    print(f"seed {seed}")
    async with anyio.create_task_group() as tasks:
        swings = Swings(site, random.Random(seed + 1))
        tasks.start_soon(swings.run)
        for number in range(count):
            given_before = swings.counts()
            async with site.run() as hub:
                if number % 2:  # soon after the start, and in the middle of things
                    await anyio.sleep(chance.uniform(0.0, 0.5))
                else:
                    await anyio.sleep(chance.uniform(0.8, 1.8))
                await hub.kill()
            _readings_are_stored(site, number + 1, given_before, swings.answered(LOST_AT_MOST_S))
        swings.stop()
        async with site.run() as hub:
            await eventually(lambda: not site.rows("SELECT 1 FROM alerts WHERE state <> 'inactive'"), 10)
            await eventually(lambda: not site.rows("SELECT 1 FROM deliveries WHERE state <> 'delivered'"), 10)
            assert await hub.stop() == 0
        tasks.cancel_scope.cancel()

    _every_transition_was_told(site, count)
    _nothing_was_told_in_two_ways(site)
    _alerts_follow_the_meters(site, swings.rises)
    _sequences_rise(site, count)


class Swings:
    """Levels that cross the limit up and down at random, and what the meters have answered when."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self.rises = [0] * len(site.meters)
        self._site = site
        self._chance = chance
        self._is_loud = [False] * len(site.meters)
        self._answers: list[tuple[float, list[int]]] = []
        self._is_stopped = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._answers.append((anyio.current_time(), self.counts()))
            if not self._is_stopped:
                self._swing(self._chance.randrange(len(self._is_loud)))
            await anyio.sleep(_LOOK_S)

    def stop(self) -> None:
        """Be quiet everywhere from now on."""
        self._is_stopped = True
        for number, is_loud in enumerate(self._is_loud):
            if is_loud:
                self._swing(number)

    def counts(self) -> list[int]:
        """How often each meter has been asked for a reading."""
        return [meter.counters.commands["DOD?"] for meter in self._site.meters]

    def answered(self, before_s: float) -> list[int]:
        """The counts of so many seconds ago."""
        until = anyio.current_time() - before_s
        return next((counts for at, counts in reversed(self._answers) if at <= until), [0] * len(self._is_loud))

    def _swing(self, number: int) -> None:
        self._is_loud[number] = not self._is_loud[number]
        self.rises[number] += self._is_loud[number]
        self._site.meters[number].set_lp(LOUD if self._is_loud[number] else QUIET)


def _readings_are_stored(site: Site, boot: int, given_before: list[int], given: list[int]) -> None:
    """All that the meters gave during a boot are rows, but for its last second and what a meter read too late."""
    first = boot * _SEQUENCES_PER_BOOT
    query = "SELECT unit_id, count(*) AS n FROM readings WHERE sequence BETWEEN ? AND ? GROUP BY 1"
    rows = {row["unit_id"]: row["n"] for row in site.rows(query, first, first + _SEQUENCES_PER_BOOT - 1)}
    for number, (before, until) in enumerate(zip(given_before, given, strict=True)):
        assert rows.get(f"gate-{number}", 0) >= until - before - 1, f"gate-{number} in boot {boot}"


def _every_transition_was_told(site: Site, at_least: int) -> None:
    told = {(one["id"], one["sequence"]) for one in site.told()}
    stored = {(row["alert_id"], row["sequence"]) for row in site.rows("SELECT alert_id, sequence FROM transitions")}
    assert len(stored) > at_least
    assert told == stored


def _nothing_was_told_in_two_ways(site: Site) -> None:
    names, bodies = defaultdict(set), defaultdict(set)
    for received in site.receiver.received:
        key = (received.document["id"], received.document["sequence"])
        names[key].add(received.id)
        bodies[key].add(received.body)
    assert {key: found for key, found in names.items() if found != {delivery_id(*key, "ops")}} == {}
    assert {key: found for key, found in bodies.items() if len(found) > 1} == {}


def _alerts_follow_the_meters(site: Site, rises: list[int]) -> None:
    """One alert at a time on each unit, no more of them than its level rose, and each told in order."""
    for number, count in enumerate(rises):
        alerts = site.rows(
            "SELECT started_at, cleared_at FROM alerts WHERE subject = ? AND rule = 'loud' ORDER BY started_at",
            f"unit/gate-{number}",
        )
        assert len(alerts) <= count
        for earlier, later in pairwise(alerts):
            assert earlier["cleared_at"] <= later["started_at"]
    for sequences in _told_by_alert(site):
        assert sequences == list(range(1, len(sequences) + 1))


def _told_by_alert(site: Site) -> Iterator[list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for document in site.told():
        known = found[document["id"]]
        if document["sequence"] not in known:
            known.append(document["sequence"])
    yield from found.values()


def _sequences_rise(site: Site, kills: int) -> None:
    last: dict[str, Any] = {}
    for row in site.rows("SELECT unit_id, sequence FROM readings ORDER BY at"):
        assert row["sequence"] > last.get(row["unit_id"], 0)
        last[row["unit_id"]] = row["sequence"]
    boots = {sequence // _SEQUENCES_PER_BOOT for sequence in last.values()}
    assert boots == {kills + 1}
