"""The board: what changed since when."""

import json

from hub.clock import Clock
from hub.config import UnitConfig
from hub.nl43.reading import Reading
from hub.snapshot import Snapshot
from hub.unit import Unit
from hub.web.board import TICK_S, Board
from tests.hub.fake_link import READING, FakeLink


class SetClock(Clock):
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def steady(self) -> float:
        return self.now_s


def read(unit: Unit, clock: SetClock, reading: Reading = READING) -> None:
    sequence = 1 if unit.latest is None else unit.latest.sequence + 1
    unit.latest = Snapshot(unit.id, sequence, clock.now(), clock.steady(), reading, "Start", None, (), 1.0)


def board_of(*names: str) -> tuple[Board, dict[str, Unit], SetClock]:
    clock = SetClock()
    units = {
        name: Unit(UnitConfig(id=name, host="127.0.0.1"), clock, lambda event: None, link=FakeLink(clock))
        for name in names
    }
    return Board(units, clock, dict), units, clock


def ids(text: str | None) -> list[str]:
    return [] if text is None else json.loads(text)["unit_id"]


def test_only_units_that_changed_since_a_tick_are_shown() -> None:
    board, units, clock = board_of("a", "b", "c")
    first = board.look()
    read(units["b"], clock)
    clock.now_s += TICK_S
    second = board.look()
    read(units["c"], clock)
    clock.now_s += TICK_S
    board.look()
    assert ids(board.text(-1, "*")) == ["a", "b", "c"]
    assert ids(board.text(first, "*")) == ["b", "c"]
    assert ids(board.text(second, "*")) == ["c"]
    assert ids(board.text(first, "b")) == ["b"]


def test_growing_stale_is_a_change() -> None:
    board, units, clock = board_of("a")
    read(units["a"], clock)
    since = board.look()
    clock.now_s += 10.5
    board.look()
    text = board.text(since, "*")
    assert text is not None
    assert json.loads(text)["feed_status"] == ["stale"]
    assert json.loads(text)["age_s"] == [10.5]


def test_a_unit_that_left_is_shown_once_as_off() -> None:
    board, units, clock = board_of("a", "b")
    read(units["a"], clock)
    since = board.look()
    del units["a"]
    clock.now_s += TICK_S
    tick = board.look()
    text = board.text(since, "*")
    assert text is not None
    assert (json.loads(text)["unit_id"], json.loads(text)["feed_status"]) == (["a"], ["off"])
    clock.now_s += TICK_S
    board.look()
    assert board.text(tick, "*") is None
    assert ids(board.text(-1, "*")) == ["b"]


def test_each_unit_is_shown_with_its_name_and_another_name_is_a_change() -> None:
    board, units, clock = board_of("a", "b")
    since = board.look()
    units["a"].config = UnitConfig(id="a", name="Gate A", host="127.0.0.1")
    clock.now_s += TICK_S
    board.look()
    text = board.text(since, "*")
    assert text is not None
    assert (json.loads(text)["unit_id"], json.loads(text)["name"]) == (["a"], ["Gate A"])
    first = board.text(-1, "*")
    assert first is not None
    assert json.loads(first)["name"] == ["Gate A", "b"]


def test_a_text_is_made_once_per_tick() -> None:
    board, _, _ = board_of("a")
    board.look()
    assert board.text(-1, "*") is board.text(-1, "*")
