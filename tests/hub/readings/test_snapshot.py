import json
from datetime import UTC, datetime

from hub.readings.snapshot import FRAME_LEVELS, FeedStatus, Snapshot, frame, stale_after_s
from tests.hub.fake_link import READING

AT = datetime(2026, 3, 18, 22, 14, 7, 120_400, tzinfo=UTC)
SNAPSHOT = Snapshot("gate-a", 1042, AT, 100.0, READING, "Start", None, ("over",), 1.0)

NAMES = [
    "unit_id", "sequence", "timestamp", "age_s", "feed_status", "measurement_state", "measurement_start_time",
    "counter", *FRAME_LEVELS, "quality", "dropped", "raw_payload",
]  # fmt: skip


def test_a_frame_has_the_names_clients_know() -> None:
    shown = frame("gate-a", SNAPSHOT, FeedStatus.OK, None, 100.5)
    assert sorted(shown) == sorted(NAMES)
    assert (shown["sequence"], shown["timestamp"], shown["age_s"]) == (1042, "2026-03-18T22:14:07.120Z", 0.5)
    assert (shown["lp"], shown["leq"], shown["quality"], shown["measurement_state"]) == (
        45.8,
        None,
        ["over"],
        "Start",
    )


def test_the_frame_of_a_sound_level_meter_is_this_text_byte_for_byte() -> None:
    levels = '"lp":45.8,' + "".join(f'"{name}":null,' for name in FRAME_LEVELS[1:])
    assert json.dumps(frame("gate-a", SNAPSHOT, FeedStatus.OK, None, 100.5, 3), separators=(",", ":")) == (
        '{"unit_id":"gate-a","sequence":1042,"timestamp":"2026-03-18T22:14:07.120Z","age_s":0.5,"feed_status":"ok",'
        f'"measurement_state":"Start","measurement_start_time":null,"counter":null,{levels}'
        '"quality":["over"],"dropped":3,"raw_payload":""}'
    )


def test_before_the_first_reading_everything_is_unknown() -> None:
    shown = frame("gate-a", None, FeedStatus.OK, None, 100.0)
    assert sorted(shown) == sorted(NAMES)
    assert {shown[name] for name in (*FRAME_LEVELS, "sequence", "timestamp", "age_s")} == {None}


def test_an_old_value_is_stale_unless_worse_is_known() -> None:
    assert stale_after_s(1.0) == 10.0
    assert stale_after_s(10.0) == 30.0
    assert frame("gate-a", SNAPSHOT, FeedStatus.OK, None, 110.1)["feed_status"] == "stale"
    shown = frame("gate-a", SNAPSHOT, FeedStatus.UNREACHABLE, "mute", 110.1)
    assert (shown["feed_status"], shown["reason"]) == ("unreachable", "mute")


def test_the_meters_own_line_is_for_operators_only() -> None:
    assert frame("gate-a", SNAPSHOT, FeedStatus.OK, None, 100.0)["raw_payload"] == ""
    assert frame("gate-a", SNAPSHOT, FeedStatus.OK, None, 100.0, with_raw=True)["raw_payload"] == READING.raw
