"""A kind of instrument that nothing else in the product knows is polled, ruled on, shown and stored."""

import json
from datetime import timedelta
from typing import Any

import anyio
import pytest

from alerts.config.caption import Caption
from alerts.config.rule import Rule
from alerts.delivery.summary import summarize
from alerts.model.sample import Quality
from alerts.testing.replay import replay
from hub.instruments.exchange import LinkDown, Priority
from hub.readings.reading import QuantityReading
from hub.readings.samples import UnitSampler
from hub.readings.snapshot import Event, PollFailure, Snapshot, StateChange
from hub.store.batch import BatchMaker, sqlite_time
from hub.units.monitor import run_unit
from hub.web.fleet_table import FleetTable, UnitFilter
from hub.web.routes.units import QuantityFrame, UnitDocument, describe
from tests.hub.store.events import snapshot as of_a_meter
from tests.hub.units.fake_kind import DUST, dust_unit, symbols
from tests.virtual_time import VirtualClock, virtual


@virtual
async def test_its_frame_has_its_quantities_and_no_levels() -> None:
    unit, _ = dust_unit(VirtualClock(), lambda event: None)
    before = unit.frame()
    await unit.poll(Priority.MONITOR)
    after = unit.frame(with_raw=True)
    assert before["quantities"] == {"pm10": None, "flow": None}
    assert after["quantities"] == {"pm10": 12.5, "flow": 1.0}
    assert (after["raw_payload"], after["measurement_state"], after["quality"]) == ("dust line", None, [])
    assert not {"lp", "leq", "ln5"} & (before.keys() | after.keys())
    for frame in (before, after):
        QuantityFrame.model_validate(frame)


@virtual
async def test_it_is_described_with_the_units_of_its_quantities() -> None:
    unit, _ = dust_unit(VirtualClock(), lambda event: None)
    document = describe(unit)
    assert (document["kind"], document["quantities"]) == ("dust", {"pm10": "PM10", "flow": "flow"})
    assert document["own_quantities"]["pm10"] == {
        "symbol": "PM10", "unit": "µg/m³", "decimals": 1, "mean": "arithmetic",
    }  # fmt: skip
    assert isinstance(UnitDocument.model_validate(document).snapshot, QuantityFrame)


@virtual
async def test_monitor_cadence_and_reachability_work_as_for_any_unit() -> None:
    events: list[Event] = []
    clock = VirtualClock()
    unit, instrument = dust_unit(clock, events.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_unit, unit, clock, 0.0)
        with unit.watch(1):
            await anyio.sleep(10)
            instrument.values = None
            await anyio.sleep(5)
        tasks.cancel_scope.cancel()
    snapshots = [event for event in events if isinstance(event, Snapshot)]
    assert len(snapshots) == pytest.approx(10, abs=1)
    assert [s.sequence for s in snapshots] == list(range(1, len(snapshots) + 1))
    changes = [(event.what, event.new) for event in events if isinstance(event, StateChange)]
    assert changes == [("reachability", "reachable"), ("reachability", "unreachable")]
    assert any(isinstance(event, PollFailure) for event in events)


@virtual
async def test_a_rule_on_its_quantity_fires_and_says_so_with_its_unit() -> None:
    clock = VirtualClock()
    unit, instrument = dust_unit(clock, lambda event: None)
    sampler = UnitSampler("dust", frozenset({"pm10", "lp"}))
    samples = []
    for value in (12.5, None, 60.0, 60.0):
        instrument.values = {"pm10": value, "flow": None}
        samples += sampler.samples(await unit.poll(Priority.MONITOR))
    pm10 = [sample for sample in samples if sample.metric == "pm10"]
    assert [sample.quality for sample in pm10] == [Quality.OK, Quality.MISSING, Quality.OK, Quality.OK]
    rule = Rule.model_validate({"name": "dusty", "metric": "pm10", "above": 50, "notify": ["ops"]})
    began = clock.now() - timedelta(seconds=60)
    (onset,) = replay(rule, "unit/dust", {}, "UTC", pm10, began, clock.now())
    caption = Caption("Gate", symbols({}), DUST)
    assert summarize(onset, rule, caption).startswith("dust (Gate) PM10 60.0 µg/m³ > 50.0 µg/m³")


@virtual
async def test_its_rows_have_its_values_and_the_table_of_units_shows_them() -> None:
    events: list[Event] = []
    clock = VirtualClock()
    unit, _ = dust_unit(clock, events.append)
    table = FleetTable({"dust": unit}, clock, dict)
    await unit.poll(Priority.MONITOR)
    batch = BatchMaker(sqlite_time).make([event for event in events if isinstance(event, Snapshot)])
    assert json.loads(batch.readings[0][-1]) == {"pm10 µg/m³": 12.5, "flow l/min": 1.0}
    assert {key for _, _, key in batch.quantity_minutes} == {"pm10 µg/m³", "flow l/min"}
    table.refresh()
    row: dict[str, Any] = json.loads(table.text(-1, UnitFilter("*")) or "")
    assert (row["lp"], row["quantities"]) == ([None], [{"pm10": 12.5, "flow": 1.0}])


@virtual
async def test_a_reading_of_another_kind_is_not_taken_up_after_a_restart() -> None:
    clock = VirtualClock()
    unit, _ = dust_unit(clock, lambda event: None)
    snapshot = await unit.poll(Priority.MONITOR)
    again, _ = dust_unit(clock, lambda event: None)
    again.resume(snapshot, {})
    assert again.latest is snapshot
    again, _ = dust_unit(clock, lambda event: None)
    again.resume(of_a_meter(1), {})
    assert again.latest is None


@virtual
async def test_a_reading_in_another_unit_is_not_shown_as_the_latest() -> None:
    clock = VirtualClock()
    unit, _ = dust_unit(clock, lambda event: None)
    snapshot = await unit.poll(Priority.MONITOR)
    assert isinstance(snapshot.reading, QuantityReading)
    in_milligrams = {**DUST, "pm10": DUST["pm10"]._replace(unit="mg/m³")}
    other = snapshot._replace(reading=snapshot.reading._replace(metrics=in_milligrams))
    again, _ = dust_unit(clock, lambda event: None)
    again.resume(other, {})
    assert again.latest is None
    unit.latest = other
    assert unit.configure(unit.config)
    assert unit.latest is None


@virtual
async def test_a_mute_instrument_fails_as_any_other() -> None:
    unit, instrument = dust_unit(VirtualClock(), lambda event: None)
    instrument.values = None
    with pytest.raises(LinkDown):
        await unit.poll(Priority.MONITOR)
    assert (unit.polls["mute"], unit.latest) == (1, None)
