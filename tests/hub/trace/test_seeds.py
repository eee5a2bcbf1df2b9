from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hub.trace.seeds import seed_queries

ZONE = ZoneInfo("Asia/Taipei")


def test_what_a_person_knows_becomes_bound_values() -> None:
    (query,) = seed_queries("query_tool", {"lot_id": [" GA1 ", "GA2"]}, ZONE)
    assert "c.CONTAINERNAME IN (:i0" in query.sql
    assert set(query.binds.values()) == {"GA1", "GA2"}
    assert query.keys == ("GA1", "GA2")


def test_the_two_ways_to_write_it_are_the_same() -> None:
    named = seed_queries("query_tool", {"wafer_lot": ["W1"]}, ZONE)
    typed = seed_queries("query_tool", {"resolve_type": "wafer_lot", "values": ["W1"]}, ZONE)
    assert named == typed


def test_a_range_is_in_the_plants_own_time() -> None:
    (query,) = seed_queries("mid_section_defect", {"start": "2026-02-25T00:00:00Z", "end": "2026-02-26"}, ZONE)
    assert query.binds == {
        "from_time": datetime(2026, 2, 25, 8),  # noqa: DTZ001
        "to_time": datetime(2026, 2, 26),  # noqa: DTZ001
    }


def test_a_station_narrows_a_range() -> None:
    (query,) = seed_queries(
        "mid_section_defect", {"start": "2026-02-25", "end": "2026-02-26", "station": "TMTT"}, ZONE
    )
    assert query.sql.endswith(":station")
    assert query.binds["station"] == "TMTT"


@pytest.mark.parametrize(
    ("profile", "params", "says"),
    [
        ("other", {}, "profile must be one of"),
        ("query_tool", {}, "wafer_lot, lot_id, work_order"),
        ("query_tool", {"serial_number": ["1"]}, "wafer_lot, lot_id, work_order"),
        ("query_tool", {"lot_id": []}, "1 to 1000 values"),
        ("query_tool", {"lot_id": 7}, "list of texts"),
        ("query_tool", {"lot_id": [7]}, "list of texts"),
        ("query_tool", {"resolve_type": "lot_id"}, "list of texts"),
        ("query_tool_reverse", {"lot_id": ["x"]}, "serial_number"),
        ("query_tool", {"lot_id": ["a\x00"]}, "on one line"),
        ("query_tool", {"lot_id": ["\ud800"]}, "on one line"),
        ("query_tool", {"lot_id": ["x" * 201]}, "up to 200 characters"),
        ("mid_section_defect", {"start": "2026-03-01", "end": "2026-03-02", "station": "\ud800"}, "station"),
        ("mid_section_defect", {"start": "2026-03-01", "end": "2026-03-02", "station": "x" * 201}, "station"),
        ("mid_section_defect", {}, "start must be a date"),
        ("mid_section_defect", {"start": "2026-02-30", "end": "2026-03-01"}, "start must be a date"),
        ("mid_section_defect", {"start": "2026-03-01", "end": "2026-03-01"}, "start must be before end"),
        ("mid_section_defect", {"start": "0001-01-01T00:00:00+14:00", "end": "2026-03-01"}, "start must be a date"),
        ("mid_section_defect", {"start": "2026-03-01", "end": "2026-03-02", "sation": "x"}, "not sation"),
        ("mid_section_defect", {"start": "2026-03-01", "end": "2026-03-02", "station": " "}, "station"),
    ],
)
def test_params_that_cannot_be_used_are_refused_with_what_to_write(
    profile: str, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        seed_queries(profile, params, ZONE)
