import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.instruments.exchange import Priority
from hub.nl43.config import NL43Config
from hub.readings.snapshot import Event, Failure, Snapshot
from hub.units.monitor import next_due, run_unit
from hub.units.poller import Poller
from hub.units.unit import Unit
from tests.hub.fake_link import FakeLink, linked
from tests.virtual_time import VirtualClock, virtual


@asynccontextmanager
async def running_unit(link: FakeLink, phase: float = 0.0, **config: Any) -> AsyncIterator[Unit]:
    events: list[Event] = []
    unit_config = NL43Config(id="gate-a", host="meter", **config)
    unit = Unit(unit_config, link.clock, events.append, linked(unit_config, link, link.clock))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_unit, unit, link.clock, phase)
        yield unit
        tasks.cancel_scope.cancel()


def spacings(times: list[float]) -> set[float]:
    return {round(b - a, 3) for a, b in itertools.pairwise(times)}


@virtual
async def test_kept_alive_the_cadence_is_idle_and_with_a_viewer_watched() -> None:
    link = FakeLink(VirtualClock())
    async with running_unit(link) as unit:
        assert str(unit.mode) == "idle"
        await anyio.sleep(35)
        assert spacings(link.polls()) == {10.0}
        with unit.watch(8):
            assert unit.mode == "watched"
            link.asked.clear()
            await anyio.sleep(20.5)
            assert spacings(link.polls()) == {1.0}
            assert len(link.polls()) >= 20
        link.asked.clear()
        await anyio.sleep(30)
        assert max(spacings(link.polls())) == 10.0


@virtual
async def test_a_viewer_does_not_wait_for_the_idle_poll() -> None:
    link = FakeLink(VirtualClock())
    async with running_unit(link) as unit:
        await anyio.sleep(2)
        link.asked.clear()
        began = link.clock.steady()
        with unit.watch(8) as subscription:
            await subscription.__anext__()
        assert link.polls()[0] - began < 0.01


@virtual
async def test_a_rule_sets_a_cadence_of_its_own_but_none_faster_than_watched() -> None:
    link = FakeLink(VirtualClock())
    async with running_unit(link) as unit:
        unit.rule_cadence_s = 4.0
        unit.demand_changed()
        await anyio.sleep(1)
        link.asked.clear()
        await anyio.sleep(20)
        assert spacings(link.polls()) == {4.0}
        unit.rule_cadence_s = 0.1
        assert unit.cadence_s == 1.0


@virtual
async def test_without_demand_nothing_is_polled_until_the_poller_orders_it() -> None:
    link = FakeLink(VirtualClock())
    async with running_unit(link, monitor=False) as unit:
        assert unit.mode == "off"
        await anyio.sleep(100)
        assert link.asked == []
        unit.order_background_poll()
        await anyio.sleep(1)
        assert [(line, priority) for _, line, priority in link.asked] == [
            ("DOD?", Priority.BACKGROUND),
            ("Measure?", Priority.BACKGROUND),
            ("Frequency Weighting (Main)?", Priority.BACKGROUND),
        ]


@virtual
async def test_an_ordered_poll_is_dropped_and_counted_when_a_monitor_takes_over() -> None:
    link = FakeLink(VirtualClock())
    async with running_unit(link, monitor=False) as unit:
        unit.order_background_poll()
        with unit.watch(8):
            await anyio.sleep(5)
        assert all(priority is Priority.MONITOR for _, _, priority in link.asked)


@virtual
@pytest.mark.parametrize("config", [{"poll": {"idle": "1m"}}, {"poll": {"idle": "15s"}}, {"monitor": False}])
async def test_slow_polls_too_know_the_run_state_and_ask_for_the_settings(config: dict[str, Any]) -> None:
    clock = VirtualClock()
    link = FakeLink(clock)
    async with running_unit(link, **config) as unit, anyio.create_task_group() as tasks:
        tasks.start_soon(Poller({unit.id: unit}, clock).run)
        with unit.fanout.subscribe(1000) as events:
            await anyio.sleep(1200)
            readings = [event for event in events.drain_nowait() if isinstance(event, Snapshot)]
        assert len(readings) >= 19
        assert {reading.run_state for reading in readings[1:]} == {"Start"}
        assert {"Sleep Mode?", "Percentile 5?"} <= {line for _, line, _ in link.asked}
        tasks.cancel_scope.cancel()


@virtual
async def test_a_released_unit_is_left_alone_until_resumed() -> None:
    link = FakeLink(VirtualClock())
    async with running_unit(link) as unit:
        await anyio.sleep(1)
        unit.release(True)
        link.asked.clear()
        with unit.watch(8):
            unit.order_background_poll()
            await anyio.sleep(100)
        assert link.asked == []
        assert (unit.mode, unit.frame()["feed_status"]) == ("off", "off")
        unit.release(False)
        await anyio.sleep(1)
        assert len(link.polls()) >= 1


@virtual
async def test_while_unreachable_polls_wait_for_the_links_pause() -> None:
    link = FakeLink(VirtualClock(), pause_s=7.0)
    link.failure = Failure.REFUSED
    async with running_unit(link) as unit, anyio.create_task_group() as tasks:
        with unit.watch(8):
            await anyio.sleep(60)
            assert unit.mode == "backoff"
            assert 7 <= min(spacings(link.polls())) <= 8.1
        tasks.cancel_scope.cancel()


@virtual
async def test_first_polls_of_a_fleet_are_spread() -> None:
    clock = VirtualClock()
    early, late = FakeLink(clock), FakeLink(clock)
    async with running_unit(early, 0.0), running_unit(late, 0.9):
        await anyio.sleep(3)
        assert late.polls()[0] - early.polls()[0] == pytest.approx(1.8, abs=0.001)


@given(
    st.floats(1, 1e9), st.floats(0, 100), st.sampled_from([0.1, 1.0, 10.0, 60.0]), st.floats(0, 1, exclude_max=True)
)
def test_polls_stay_on_the_grid_and_never_pile_up(due: float, late: float, cadence: float, phase: float) -> None:
    now = due + late
    following = next_due(due, now, cadence, phase)
    assert following > due
    assert following >= now - cadence - 1e-6
    assert following <= max(due + 1.1 * cadence, now) + 1e-6
    place = (following / cadence - phase) % 1
    assert min(place, 1 - place) < 1e-3


def test_a_late_poll_does_not_shift_those_after_it() -> None:
    assert next_due(100.0, 100.9, 1.0, 0.0) == 101.0
    assert next_due(100.0, 101.7, 1.0, 0.0) == 101.0
    assert next_due(100.0, 105.2, 1.0, 0.0) == 105.0
