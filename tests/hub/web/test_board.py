"""The board: what changed since when."""

import json

import pytest

from hub.config.models import UnitConfig
from hub.readings.reading import Reading
from hub.readings.snapshot import Snapshot
from hub.runtime.clock import Clock
from hub.units.unit import Unit
from hub.web.board import TICK_S, Board, Choice
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
    assert ids(board.text(-1, Choice("*"))) == ["a", "b", "c"]
    assert ids(board.text(first, Choice("*"))) == ["b", "c"]
    assert ids(board.text(second, Choice("*"))) == ["c"]
    assert ids(board.text(first, Choice("b"))) == ["b"]


def test_growing_stale_is_a_change() -> None:
    board, units, clock = board_of("a")
    read(units["a"], clock)
    since = board.look()
    clock.now_s += 10.5
    board.look()
    text = board.text(since, Choice("*"))
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
    text = board.text(since, Choice("*"))
    assert text is not None
    assert (json.loads(text)["unit_id"], json.loads(text)["feed_status"]) == (["a"], ["off"])
    clock.now_s += TICK_S
    board.look()
    assert board.text(tick, Choice("*")) is None
    assert ids(board.text(-1, Choice("*"))) == ["b"]


def test_each_unit_is_shown_with_its_name_and_another_name_is_a_change() -> None:
    board, units, clock = board_of("a", "b")
    since = board.look()
    units["a"].config = UnitConfig(id="a", name="Gate A", host="127.0.0.1")
    clock.now_s += TICK_S
    board.look()
    text = board.text(since, Choice("*"))
    assert text is not None
    assert (json.loads(text)["unit_id"], json.loads(text)["name"]) == (["a"], ["Gate A"])
    first = board.text(-1, Choice("*"))
    assert first is not None
    assert json.loads(first)["name"] == ["Gate A", "b"]


def test_a_text_is_made_once_per_tick() -> None:
    board, _, _ = board_of("a")
    board.look()
    assert board.text(-1, Choice("*")) is board.text(-1, Choice("*"))


def test_a_glob_is_held_against_each_unit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    board, units, clock = board_of("a", "b")
    choice = Choice("[ab]*")
    matches = choice._matches

    def match(unit_id: str) -> object:
        asked.append(unit_id)
        return matches(unit_id)

    monkeypatch.setattr(choice, "_matches", match)
    since = board.look()
    for new in ("c", "bb", "d"):
        read(units["a"], clock)
        units[new] = Unit(UnitConfig(id=new, host="127.0.0.1"), clock, lambda event: None, link=FakeLink(clock))
        clock.now_s += TICK_S
        tick = board.look()
        board.text(since, choice)
        board.text(-1, choice)
        assert board.units(choice) is board.units(choice)
        since = tick
    assert sorted(asked) == ["a", "b", "bb", "c", "d"]
    assert ids(board.text(-1, choice)) == ["a", "b", "bb"]
    assert [unit.id for unit in board.units(choice)] == ["a", "b", "bb"]


def test_globs_that_choose_the_same_units_share_a_text() -> None:
    board, _, _ = board_of("a", "b")
    board.look()
    assert board.text(-1, Choice("?")) is board.text(-1, Choice("[a-z]*"))


@pytest.mark.parametrize("glob", ["*a" * 100, "*" * 200, "[!b]*" * 40, "*?" * 100, "[" * 200, "[]-a]" * 40])
def test_a_glob_that_backtracks_is_no_slower(glob: str) -> None:
    board, _, _ = board_of("a" * 64)
    board.look()
    assert board.text(-1, Choice(glob)) is not None
