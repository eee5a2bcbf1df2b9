"""Frames as text."""

import json

from hub.nl43.config import NL43Config
from hub.readings.snapshot import Snapshot
from hub.units.unit import Unit
from hub.web.frame_text import FrameText
from tests.hub.fake_link import READING, FakeLink, linked
from tests.hub.web.test_fleet_table import SetClock


def snapshot(sequence: int, clock: SetClock) -> Snapshot:
    return Snapshot("a", sequence, clock.now(), clock.steady(), READING, "Start", None, (), 1.0)


def test_a_reading_is_written_once_and_only_the_drops_differ() -> None:
    clock = SetClock()
    texts = FrameText(clock.steady)
    reading = snapshot(7, clock)
    first = texts.of_snapshot(reading, 0, False)
    clock.now_s += 1.0
    second = json.loads(texts.of_snapshot(reading, 5, False))
    assert second == {**json.loads(first), "dropped": 5}


def test_an_old_reading_does_not_push_the_newest_out_and_shows_its_age() -> None:
    clock = SetClock()
    texts = FrameText(clock.steady)
    old = snapshot(6, clock)
    clock.now_s += 60.0
    newest = snapshot(7, clock)
    head = texts.of_snapshot(newest, 0, False)
    replayed = json.loads(texts.of_snapshot(old, 0, False))
    assert (replayed["sequence"], replayed["age_s"], replayed["feed_status"]) == (6, 60.0, "stale")
    clock.now_s += 1.0
    assert texts.of_snapshot(newest, 0, False) == head


def test_the_line_of_the_meter_is_only_where_it_is_asked_for() -> None:
    clock = SetClock()
    texts = FrameText(clock.steady)
    reading = snapshot(7, clock)
    assert json.loads(texts.of_snapshot(reading, 0, True))["raw_payload"] == READING.raw
    assert json.loads(texts.of_snapshot(reading, 0, False))["raw_payload"] == ""


def test_what_is_known_of_a_unit_is_the_frame_of_the_unit() -> None:
    clock = SetClock()
    config = NL43Config(id="a", host="127.0.0.1")
    unit = Unit(config, clock, lambda event: None, linked(config, FakeLink(clock), clock))
    assert json.loads(FrameText(clock.steady).of_unit(unit, 3, False)) == unit.frame(3)
