from hub.nl43.config import NL43Config
from hub.units.poller import Poller
from hub.units.unit import Unit
from tests.hub.fake_link import FakeLink, linked
from tests.virtual_time import VirtualClock, virtual


def units_of(clock: VirtualClock, *ids: str, monitor: bool = False) -> dict[str, Unit]:
    configs = (NL43Config(id=unit_id, host="meter", monitor=monitor) for unit_id in ids)
    return {
        config.id: Unit(config, clock, lambda event: None, linked(config, FakeLink(clock), clock))
        for config in configs
    }


def ordered(units: dict[str, Unit]) -> list[str]:
    return [unit_id for unit_id, unit in units.items() if unit.take_background_order()]


@virtual
async def test_each_unit_gets_its_turn_within_the_interval_and_not_all_at_once() -> None:
    units = units_of(VirtualClock(), *"abcd")
    poller = Poller(units, VirtualClock())
    turns = []
    for second in range(60):
        poller.order_due(1000.0 + second)
        turns += [(second, unit_id) for unit_id in ordered(units)]
    assert turns == [(0, "a"), (15, "b"), (30, "c"), (45, "d")]


@virtual
async def test_a_unit_with_an_active_monitor_is_skipped_and_counted() -> None:
    clock = VirtualClock()
    units = units_of(clock, "watched", monitor=True) | units_of(clock, "left")
    poller = Poller(units, clock)
    for second in range(0, 120, 30):
        poller.order_due(1000.0 + second)
    assert ordered(units) == ["left"]
    assert (units["watched"].skipped_by_poller, units["left"].skipped_by_poller) == (2, 0)


@virtual
async def test_units_that_come_and_go_are_taken_up() -> None:
    clock = VirtualClock()
    units = units_of(clock, "a")
    poller = Poller(units, clock)
    poller.order_due(1000.0)
    del units["a"]
    units |= units_of(clock, "b")
    poller.order_due(1001.0)
    assert ordered(units) == ["b"]
    poller.order_due(1061.0)
    assert ordered(units) == ["b"]


@virtual
async def test_a_released_unit_gets_no_orders() -> None:
    clock = VirtualClock()
    units = units_of(clock, "a")
    units["a"].release(True)
    Poller(units, clock).order_due(1000.0)
    assert ordered(units) == []


@virtual
async def test_another_interval_is_taken_up_without_waiting_for_the_old_one() -> None:
    clock = VirtualClock()
    units = units_of(clock, "a")
    poller = Poller(units, clock)
    poller.order_due(1000.0)
    assert ordered(units) == ["a"]
    units["a"].config = NL43Config.model_validate(
        {"id": "a", "host": "meter", "monitor": False, "poll": {"background": "5s"}}
    )
    turns = []
    for second in range(1, 12):
        poller.order_due(1000.0 + second)
        turns += [second for _ in ordered(units)]
    assert turns == [1, 6, 11]
