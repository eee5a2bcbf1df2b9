"""Resuming: after a sequence number nothing is missing and nothing comes twice, whatever the wall clock did."""

from datetime import timedelta
from typing import Any

import pytest

from hub.database.database import Database
from hub.readings.reading import Reading
from hub.readings.snapshot import Snapshot
from hub.store.resume import latest_snapshots, readings_after, recent_lp
from hub.store.tables import sequence_base
from tests.hub.store.events import START, snapshot, store

pytestmark = pytest.mark.anyio

SECOND_BOOT = sequence_base(2) + 1


async def after(database: Database, sequence: int, limit: int = 1000) -> list[int]:
    found = await database.read(lambda session: readings_after(session, "gate-a", sequence, limit))
    return [one.sequence for one in found]


async def test_only_what_is_above_the_number_comes_in_its_order(database: Database) -> None:
    await store(database, [snapshot(n) for n in range(1, 11)])
    assert await after(database, 6) == [7, 8, 9, 10]
    assert await after(database, 0, limit=3) == [1, 2, 3]
    assert await after(database, 10) == []
    assert await after(database, 99) == []


async def test_a_unit_without_readings_has_none(database: Database) -> None:
    assert await after(database, 0) == []


async def test_a_reading_comes_back_as_it_was(database: Database) -> None:
    given = snapshot(1, 62.4, quality=("over",))
    await store(database, [given])
    (found,) = await database.read(lambda session: readings_after(session, "gate-a", 0, 10))
    assert found == given


@pytest.mark.parametrize("step", [timedelta(hours=-5), timedelta(hours=5), timedelta(days=-3), timedelta(days=3)])
async def test_a_step_of_the_wall_clock_loses_nothing(database: Database, step: timedelta) -> None:
    before = [snapshot(n) for n in range(1, 6)]
    later = [snapshot(n, at=START + step + timedelta(seconds=n)) for n in range(6, 11)]
    await store(database, [*before, *later])
    for sequence in range(11):
        assert await after(database, sequence) == list(range(sequence + 1, 11))


async def test_a_clock_that_was_wrong_for_a_while_loses_nothing(database: Database) -> None:
    wrong = START - timedelta(days=400)
    await store(database, [snapshot(n, at=wrong if n in (4, 5) else None) for n in range(1, 10)])
    assert await after(database, 2) == list(range(3, 10))


async def test_a_restart_after_a_long_stop_loses_nothing(database: Database) -> None:
    before = [snapshot(n) for n in range(1, 6)]
    later = [snapshot(SECOND_BOOT + n, after_s=30 * 3600 + n) for n in range(3)]
    await store(database, [*before, *later])
    assert await after(database, 3) == [4, 5, SECOND_BOOT, SECOND_BOOT + 1, SECOND_BOOT + 2]
    assert await after(database, 5) == [SECOND_BOOT, SECOND_BOOT + 1, SECOND_BOOT + 2]


async def test_the_latest_of_every_unit_is_known_after_a_restart(database: Database) -> None:
    await store(database, [snapshot(n, unit_id=unit) for n in (1, 2) for unit in ("a", "b")])
    latest = await database.read(latest_snapshots)
    assert {unit: one.sequence for unit, one in latest.items()} == {"a": 2, "b": 2}
    assert latest["a"] == snapshot(2, unit_id="a")


async def test_windows_get_every_level_since_a_time(database: Database) -> None:
    await store(database, [snapshot(n, None if n == 3 else 50.0 + n, after_s=n + 0.25) for n in range(1, 6)])
    since = START + timedelta(seconds=2)
    found = await database.read(lambda session: recent_lp(session, "gate-a", since))
    assert [(one.lp, one.cadence_s) for one in found] == [(52.0, 1.0), (54.0, 1.0), (55.0, 1.0)]
    assert [one.time for one in found] == pytest.approx(
        [START.timestamp() + n + 0.25 for n in (2, 4, 5)], abs=0.002
    )


def flagged_as(one: Snapshot, **flags: Any) -> Snapshot:
    assert isinstance(one.reading, Reading)
    return one._replace(reading=one.reading._replace(**flags))


async def test_windows_are_filled_with_what_was_out_of_range_and_know_it(database: Database) -> None:
    low, mute, high = snapshot(1, 20.0), snapshot(2, None), snapshot(3, 130.0)
    flagged = [flagged_as(one, under=True) for one in (low, mute)]
    over = [flagged_as(one, over=True) for one in (high, snapshot(4, None))]
    await store(database, [*flagged, *over, snapshot(5, 52.0), snapshot(6, None)])
    found = await database.read(lambda session: recent_lp(session, "gate-a", START))
    assert [(one.lp, one.under, one.over) for one in found] == [
        (20.0, True, False), (None, True, False), (130.0, False, True), (None, False, True), (52.0, False, False),
    ]  # fmt: skip
