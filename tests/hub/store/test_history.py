"""History: raw and stepped, from readings and from minutes, page by page."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from math import log10
from typing import Any

import pytest

from alerts.store.page import Page
from hub.database.database import Database
from hub.store.history import Item, history
from tests.hub.store.events import START, snapshot, store

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def ask(database: Database, **how: Any) -> Page[Item]:
    return await database.read(lambda session: history(session, "gate-a", START, START + HOUR, **how))


def energy_mean(levels: Sequence[float]) -> float:
    return 10 * log10(sum(10 ** (level / 10) for level in levels) / len(levels))


async def test_raw_readings_come_with_their_levels_and_nothing_of_other_units(database: Database) -> None:
    await store(
        database, [snapshot(1, 62.4), snapshot(2, None, quality=("missing", "under")), snapshot(3, unit_id="b")]
    )
    page = await ask(database)
    assert page.next_cursor is None
    assert [item["sequence"] for item in page.items] == [1, 2]
    first, second = page.items
    assert first["at"] == START + timedelta(seconds=1)
    assert (first["lp"], first["leq"], first["lpeak"], first["ln5"]) == (62.4, 61.0, 91.3, 53.2)
    assert (second["lp"], second["quality"]) == (None, ["missing", "under"])


async def test_the_end_of_the_range_is_left_out_and_the_start_is_in(database: Database) -> None:
    await store(database, [snapshot(1, after_s=-0.001), snapshot(2, after_s=0), snapshot(3, after_s=3600)])
    assert [item["sequence"] for item in (await ask(database)).items] == [2]


async def test_pages_join_without_a_gap_or_a_repeat_even_at_one_instant(database: Database) -> None:
    await store(database, [snapshot(n, after_s=n // 3) for n in range(1, 11)])
    seen: list[int] = []
    cursor: str | None = None
    pages = 0
    while pages == 0 or cursor is not None:
        page = await ask(database, limit=4, cursor=cursor)
        seen += [item["sequence"] for item in page.items]
        cursor = page.next_cursor
        pages += 1
    assert seen == list(range(1, 11))
    assert pages == 3


@pytest.mark.parametrize("step_s", [10, 60, 120, 3600])
async def test_a_step_is_the_energy_mean_of_its_readings(database: Database, step_s: int) -> None:
    levels = [50.0 + (n * 7) % 31 for n in range(360)]
    await store(database, [snapshot(n + 1, lp, after_s=n) for n, lp in enumerate(levels)])
    page = await ask(database, step_s=step_s)
    assert [item["at"] for item in page.items] == [START + timedelta(seconds=n) for n in range(0, 360, step_s)]
    for item, first in zip(page.items, range(0, 360, step_s), strict=True):
        part = levels[first : first + step_s]
        assert item["leq_lp"] == pytest.approx(energy_mean(part), abs=0.001)
        assert (item["lp_max"], item["lp_min"], item["count"]) == (max(part), min(part), len(part))
        assert item["coverage"] == pytest.approx(len(part) / step_s, abs=0.001)


@pytest.mark.parametrize("step_s", [60, 50])
async def test_readings_asked_for_between_polls_do_not_outweigh_them(database: Database, step_s: int) -> None:
    polls = [snapshot(n, 50.0, after_s=10 * n, cadence_s=10.0) for n in range(5)]
    asked = [snapshot(n, 80.0, after_s=40 + (n - 4) * 0.5, cadence_s=10.0) for n in range(5, 24)]
    await store(database, [*polls, *asked])
    (first, *_) = (await ask(database, step_s=step_s)).items
    assert first["leq_lp"] == pytest.approx(10 * log10((50 * 10**5.0 + 9.5 * 10**8.0) / 59.5), abs=0.001)


async def test_readings_and_minutes_agree_on_what_a_unit_read_slowly_then_fast_was(database: Database) -> None:
    slow = [snapshot(n, 50.0, after_s=10 * n, cadence_s=10.0) for n in range(6)]
    fast = [snapshot(n, 70.0, after_s=n, cadence_s=1.0) for n in range(60, 120)]
    await store(database, [*slow, *fast])
    (two,) = (await ask(database, step_s=120)).items
    assert two["leq_lp"] == pytest.approx(
        energy_mean([50.0, 70.0]), abs=0.001
    )  # not pulled to 70 by its 60 readings
    assert (two["count"], two["coverage"]) == (66, 1.0)
    (same,) = (await ask(database, step_s=119 * 60 + 1, metrics=["leq_lp"])).items
    assert same["leq_lp"] == two["leq_lp"]


async def test_readings_without_a_level_count_but_do_not_weigh(database: Database) -> None:
    await store(database, [snapshot(1, 60.0), snapshot(2, None), snapshot(3, 60.0), snapshot(100, None)])
    for step_s in (30, 60):
        items = (await ask(database, step_s=step_s)).items
        assert (items[0]["leq_lp"], items[0]["count"]) == (60.0, 3)
        assert (items[1]["leq_lp"], items[1]["lp_max"], items[1]["count"]) == (None, None, 1)


async def test_a_gap_in_the_readings_is_a_gap_in_the_coverage(database: Database) -> None:
    times = [*range(15), *range(45, 60)]
    await store(database, [snapshot(n + 1, after_s=second) for n, second in enumerate(times)])
    (minute,) = (await ask(database, step_s=60)).items
    assert minute["coverage"] == pytest.approx((15 + 2 + 14) / 60, abs=0.001)


async def test_a_meter_at_08_hz_covers_the_whole_minute(database: Database) -> None:
    await store(database, [snapshot(n + 1, after_s=1.25 * n) for n in range(96)])
    items = (await ask(database, step_s=60)).items
    assert [item["count"] for item in items] == [48, 48]
    assert items[1]["coverage"] == 1.0


@pytest.mark.parametrize("step_s", [10, 60])
async def test_stepped_pages_jump_over_gaps(database: Database, step_s: int) -> None:
    seconds = [0, 1, 600, 1800, 1801, 3599]
    await store(database, [snapshot(n + 1, after_s=second) for n, second in enumerate(seconds)])
    whole = await ask(database, step_s=step_s)
    assert [item["count"] for item in whole.items] == [2, 1, 2, 1]
    cursor: str | None = None
    joined: list[dict[str, Any]] = []
    for _ in range(4):
        page = await ask(database, step_s=step_s, limit=1, cursor=cursor)
        joined += page.items
        cursor = page.next_cursor
    assert joined == whole.items
    assert cursor is None


async def test_steps_are_aligned_to_utc_and_whole(database: Database) -> None:
    await store(database, [snapshot(n, after_s=n) for n in range(1, 181)])
    from_at = START + timedelta(seconds=90)
    to_at = from_at + timedelta(seconds=1)
    for step_s in (30, 60):
        how = partial(history, unit_id="gate-a", from_at=from_at, to_at=to_at, step_s=step_s)
        page = await database.read(how)
        assert [item["at"].timestamp() % step_s for item in page.items] == [0.0]
        assert page.items[0]["count"] == step_s


async def test_only_the_metrics_asked_for_come(database: Database) -> None:
    await store(database, [snapshot(1)])
    assert set((await ask(database, metrics=["lp", "lmax"])).items[0]) == {
        "at", "sequence", "lp", "lmax", "measurement_state", "quality",
    }  # fmt: skip
    assert set((await ask(database, step_s=60, metrics=["lp_max", "count"])).items[0]) == {"at", "lp_max", "count"}
    assert "leq_lp" in (await ask(database, step_s=60, metrics=["lp"])).items[0]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"metrics": ["lp", "nonsense"]}, "there is no nonsense"),
        ({"metrics": ["leq_lp"]}, "without step"),
        ({"metrics": ["lmax"], "step_s": 60}, "with step"),
        ({"step_s": 0.5}, "whole number of seconds"),
        ({"cursor": "bm9uc2Vuc2U="}, "cursor"),
        ({"cursor": "ä"}, "cursor"),
        ({"limit": 0}, "limit"),
    ],
)
async def test_a_wrong_question_is_answered_with_what_to_ask(
    sqlite: Database, how: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        await ask(sqlite, **how)
