from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.equipment.aggregate import Record, aggregate
from hub.equipment.sample_view import SampleView
from hub.equipment.view import COLUMNS, STATUS_CATEGORY, parse_rows
from hub.oracle.connection import Rows
from hub.oracle.lanes import SyncLane
from hub.runtime.clock import Clock

AT = datetime(2026, 3, 18, 3, 0, tzinfo=UTC)


def machines(view: SampleView, at: datetime) -> list[Record]:
    return aggregate(parse_rows(Rows(COLUMNS, view.rows_at(at)), UTC)[0])[0]


def statuses(view: SampleView, at: datetime) -> dict[str, Any]:
    return {record["RESOURCEID"]: record["EQUIPMENTASSETSSTATUS"] for record in machines(view, at)}


@pytest.mark.parametrize("hours", [0, 7, 24 * 365])
def test_2600_machines_are_2784_rows_at_any_time(hours: int) -> None:
    view, at = SampleView(2600, 1, Clock()), AT + timedelta(hours=hours)
    records = machines(view, at)
    assert (len(records), len(view.rows_at(at))) == (2600, 2784)
    assert set(Counter(record["EQUIPMENTASSETSSTATUS"] for record in records)) < set(STATUS_CATEGORY)


def test_a_running_machine_has_one_lot_or_two_and_any_other_none() -> None:
    found = {
        (record["STATUS_CATEGORY"], record["LOT_COUNT"]) for record in machines(SampleView(2600, 1, Clock()), AT)
    }
    assert {lots for category, lots in found if category == "PRODUCTIVE"} == {1, 2}
    assert {lots for category, lots in found if category != "PRODUCTIVE"} == {0}


def test_the_same_seed_shows_the_same_plant_to_everyone() -> None:
    one, other = SampleView(50, 1, Clock()), SampleView(50, 1, Clock())
    assert one.rows_at(AT) == other.rows_at(AT)
    assert SampleView(50, 2, Clock()).rows_at(AT) != one.rows_at(AT)


def test_machines_change_by_themselves_but_not_all_at_once() -> None:
    view = SampleView(500, 1, Clock())
    before, soon, later = (statuses(view, AT + timedelta(seconds=s)) for s in (0, 30, 3600))
    changed_soon = sum(before[each] != soon[each] for each in before)
    changed_later = sum(before[each] != later[each] for each in before)
    assert 0 < changed_soon < 100 < changed_later < 500


@pytest.mark.anyio
async def test_it_is_read_through_a_lane() -> None:
    lane = SyncLane(SampleView(10, 1, Clock()).connect)
    rows = await lane.fetch("select")
    assert rows.columns == COLUMNS
    assert (len(rows.rows) >= 10, lane.counters.opened, lane.counters.closed) == (True, 1, 1)
