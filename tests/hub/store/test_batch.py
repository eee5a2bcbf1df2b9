"""Rows of a batch: what a reading stands for, and sums that do not depend on how readings are batched."""

from datetime import UTC, datetime, timedelta, timezone
from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.store.batch import BatchMaker, MinuteSum, sqlite_time
from hub.store.insert import MEASURED_COLUMNS
from tests.hub.store.events import START, change, snapshot

HAWAII = timezone(timedelta(hours=-10))
COVERED = MEASURED_COLUMNS.index("covered_s")
LEVELS = st.lists(st.one_of(st.none(), st.floats(20, 140)), min_size=1, max_size=100)


def covered(*times: float, cadence_s: float = 1.0) -> list[float]:
    events = [snapshot(n, after_s=time, cadence_s=cadence_s) for n, time in enumerate(times)]
    return [row[COVERED] for row in BatchMaker(sqlite_time).make(events).readings]


def test_a_reading_stands_for_the_time_since_the_one_before() -> None:
    assert covered(0, 1, 2.25, 3) == [1.0, 1.0, 1.25, 0.75]


def test_a_reading_after_a_gap_stands_for_no_more_than_it_can() -> None:
    assert covered(0, 300) == [1.0, 2.0]
    assert covered(0, 12, 300, cadence_s=10.0) == [10.0, 12.0, 15.0]


def test_a_steady_clock_that_does_not_move_covers_nothing() -> None:
    assert covered(5, 5, 4) == [1.0, 0.0, 0.0]


def test_a_unit_without_a_cadence_still_has_a_mean() -> None:
    (minute,) = BatchMaker(sqlite_time).make([snapshot(1, 60.0, cadence_s=0.0)]).minutes.values()
    assert 10 * log10(minute.energy / minute.weight_s) == pytest.approx(60.0)


def test_the_row_has_a_value_for_every_column() -> None:
    batch = BatchMaker(sqlite_time).make([snapshot(1), change(1, "ok", "unreachable")])
    assert len(batch.readings[0]) == len(MEASURED_COLUMNS)
    assert dict(zip(MEASURED_COLUMNS, batch.readings[0], strict=True))["lpeak"] == 91.3
    assert batch.changes == [
        ("gate-a", "2026-03-18 22:00:01.000000", "reachability", "ok", "unreachable", "refused")
    ]


def test_a_null_character_of_a_broken_line_does_not_break_the_batch() -> None:
    batch = BatchMaker(sqlite_time, keep_raw=True).make([snapshot(1, raw="a\0b")])
    assert batch.readings[0][MEASURED_COLUMNS.index("raw_payload")] == "ab"


@given(LEVELS, st.integers(1, 20))
def test_minutes_add_up_however_readings_are_batched(levels: list[float | None], size: int) -> None:
    events = [snapshot(n, lp) for n, lp in enumerate(levels)]
    whole = BatchMaker(sqlite_time).make(events).minutes
    maker = BatchMaker(sqlite_time)
    parts = [maker.make(events[n : n + size]).minutes for n in range(0, len(events), size)]
    for key, one in whole.items():
        mine = [part[key] for part in parts if key in part]
        assert sum(part.count for part in mine) == one.count
        assert sum(part.energy for part in mine) == pytest.approx(one.energy)
        assert sum(part.covered_s for part in mine) == pytest.approx(one.covered_s)
        assert max((part.lp_max for part in mine if part.lp_max is not None), default=None) == one.lp_max
        assert min((part.lp_min for part in mine if part.lp_min is not None), default=None) == one.lp_min


def test_minutes_belong_to_a_unit_and_a_minute() -> None:
    minutes = BatchMaker(sqlite_time).make([snapshot(59), snapshot(60), snapshot(61, unit_id="b")]).minutes
    assert set(minutes) == {("gate-a", START), *((u, START + timedelta(minutes=1)) for u in ("gate-a", "b"))}
    assert all(isinstance(minute, MinuteSum) and minute.count == 1 for minute in minutes.values())


@given(st.timedeltas(timedelta(days=-20_000), timedelta(days=20_000)), st.sampled_from([UTC, HAWAII]))
def test_sqlite_times_sort_as_times_do(since: timedelta, zone: timezone) -> None:
    at = (START + since).astimezone(zone)
    written = sqlite_time(at)
    assert datetime.fromisoformat(written).replace(tzinfo=UTC) == at
    assert len(written) == 26
    assert written < sqlite_time(at + timedelta(microseconds=1))
