"""The fleet table reports which units changed since a tick."""

import json

import pytest

from hub.nl43.config import NL43Config
from hub.readings.reading import Reading
from hub.readings.snapshot import Snapshot
from hub.runtime.clock import Clock
from hub.units.unit import Unit
from hub.web.fleet_table import TICK_S, FleetTable, UnitFilter
from tests.hub.fake_link import READING, FakeLink, linked


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


def table_of(*names: str) -> tuple[FleetTable, dict[str, Unit], SetClock]:
    clock = SetClock()
    units = {name: new_unit(name, clock) for name in names}
    return FleetTable(units, clock, dict), units, clock


def new_unit(name: str, clock: SetClock) -> Unit:
    config = NL43Config(id=name, host="127.0.0.1")
    return Unit(config, clock, lambda event: None, linked(config, FakeLink(clock), clock))


def ids(text: str | None) -> list[str]:
    return [] if text is None else json.loads(text)["unit_id"]


def test_only_units_that_changed_since_a_tick_are_shown() -> None:
    table, units, clock = table_of("a", "b", "c")
    first = table.refresh()
    read(units["b"], clock)
    clock.now_s += TICK_S
    second = table.refresh()
    read(units["c"], clock)
    clock.now_s += TICK_S
    table.refresh()
    assert ids(table.text(-1, UnitFilter("*"))) == ["a", "b", "c"]
    assert ids(table.text(first, UnitFilter("*"))) == ["b", "c"]
    assert ids(table.text(second, UnitFilter("*"))) == ["c"]
    assert ids(table.text(first, UnitFilter("b"))) == ["b"]


def test_growing_stale_is_a_change() -> None:
    table, units, clock = table_of("a")
    read(units["a"], clock)
    since = table.refresh()
    clock.now_s += 10.5
    table.refresh()
    text = table.text(since, UnitFilter("*"))
    assert text is not None
    assert json.loads(text)["feed_status"] == ["stale"]
    assert json.loads(text)["age_s"] == [10.5]


def test_a_unit_that_left_is_shown_once_as_off() -> None:
    table, units, clock = table_of("a", "b")
    read(units["a"], clock)
    since = table.refresh()
    del units["a"]
    clock.now_s += TICK_S
    tick = table.refresh()
    text = table.text(since, UnitFilter("*"))
    assert text is not None
    assert (json.loads(text)["unit_id"], json.loads(text)["feed_status"]) == (["a"], ["off"])
    clock.now_s += TICK_S
    table.refresh()
    assert table.text(tick, UnitFilter("*")) is None
    assert ids(table.text(-1, UnitFilter("*"))) == ["b"]


def test_each_unit_is_shown_with_its_name_and_another_name_is_a_change() -> None:
    table, units, clock = table_of("a", "b")
    since = table.refresh()
    units["a"].config = NL43Config(id="a", name="Gate A", host="127.0.0.1")
    clock.now_s += TICK_S
    table.refresh()
    text = table.text(since, UnitFilter("*"))
    assert text is not None
    assert (json.loads(text)["unit_id"], json.loads(text)["name"]) == (["a"], ["Gate A"])
    first = table.text(-1, UnitFilter("*"))
    assert first is not None
    assert json.loads(first)["name"] == ["Gate A", "b"]


def test_a_text_is_made_once_per_tick() -> None:
    table, _, _ = table_of("a")
    table.refresh()
    assert table.text(-1, UnitFilter("*")) is table.text(-1, UnitFilter("*"))


def test_a_glob_is_held_against_each_unit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    table, units, clock = table_of("a", "b")
    chosen = UnitFilter("[ab]*")
    matches = chosen._matches

    def match(unit_id: str) -> object:
        asked.append(unit_id)
        return matches(unit_id)

    monkeypatch.setattr(chosen, "_matches", match)
    since = table.refresh()
    for new in ("c", "bb", "d"):
        read(units["a"], clock)
        units[new] = new_unit(new, clock)
        clock.now_s += TICK_S
        tick = table.refresh()
        table.text(since, chosen)
        table.text(-1, chosen)
        assert table.units(chosen) is table.units(chosen)
        since = tick
    assert sorted(asked) == ["a", "b", "bb", "c", "d"]
    assert ids(table.text(-1, chosen)) == ["a", "b", "bb"]
    assert [unit.id for unit in table.units(chosen)] == ["a", "b", "bb"]


def test_globs_that_choose_the_same_units_share_a_text() -> None:
    table, _, _ = table_of("a", "b")
    table.refresh()
    assert table.text(-1, UnitFilter("?")) is table.text(-1, UnitFilter("[a-z]*"))


@pytest.mark.parametrize("glob", ["*a" * 100, "*" * 200, "[!b]*" * 40, "*?" * 100, "[" * 200, "[]-a]" * 40])
def test_a_glob_that_backtracks_is_no_slower(glob: str) -> None:
    table, _, _ = table_of("a" * 64)
    table.refresh()
    assert table.text(-1, UnitFilter(glob)) is not None
