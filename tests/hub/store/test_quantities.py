"""Values of instruments that are no sound level meters: stored, summed by minutes, and given back."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import chain
from math import log10
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from alerts.model.metrics import Metric
from alerts.store.page import Page
from hub.database.database import Database
from hub.readings.reading import QuantityReading, is_of
from hub.readings.snapshot import Snapshot
from hub.store.batch import BatchMaker, sqlite_time
from hub.store.export import ExportedUnit, export_rows
from hub.store.history import Item, history
from hub.store.insert import write_batch
from hub.store.quantity_key import key_of
from hub.store.quantity_minutes import QuantitySum
from hub.store.repair import repair
from hub.store.resume import latest_snapshots, readings_after, readings_between, recent_lp
from hub.store.retention import delete_rows, units_with_old
from hub.store.tables import QuantityMinute
from tests.hub.store.events import START, WEATHER, snapshot, weather

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
MINUTES: sa.Table = QuantityMinute.__table__  # type: ignore[attr-defined]


async def store(database: Database, snapshots: Sequence[Snapshot], maker: BatchMaker | None = None) -> None:
    maker = maker or BatchMaker(sqlite_time if database.dialect == "sqlite" else lambda at: at)
    await database.write(lambda session: write_batch(session, maker.make(snapshots)))


async def minutes_of(database: Database, quantity: str) -> list[Any]:
    query = sa.select(MINUTES).where(MINUTES.c.quantity == key_of(WEATHER[quantity])).order_by(MINUTES.c.at)
    return list(await database.read(lambda session: session.execute(query).all()))


async def ask(database: Database, **how: Any) -> Page[Item]:
    def read(session: Session) -> Page[Item]:
        return history(session, "weather", START, START + HOUR, quantities=WEATHER, **how)

    return await database.read(read)


async def test_values_of_another_unit_are_shown_only_under_their_own(database: Database) -> None:
    fahrenheit = {**WEATHER, "temperature": WEATHER["temperature"]._replace(unit="°F")}
    now = weather(2, 68.0)
    assert isinstance(now.reading, QuantityReading)
    await store(database, [weather(1, 20.0), now._replace(reading=now.reading._replace(metrics=fahrenheit))])

    async def temperatures(quantities: Mapping[str, Metric], name: str, **how: Any) -> list[Any]:
        def read(session: Session) -> Page[Item]:
            return history(session, "weather", START, START + HOUR, quantities=quantities, **how)

        return [item[name] for item in (await database.read(read)).items]

    assert await temperatures(WEATHER, "temperature") == [20.0, None]
    assert await temperatures(fahrenheit, "temperature") == [None, 68.0]
    for step_s in (10, 60):
        assert await temperatures(WEATHER, "temperature_mean", step_s=step_s) == [20.0]
        assert await temperatures(fahrenheit, "temperature_mean", step_s=step_s) == [68.0]
    first, second = await database.read(lambda session: readings_after(session, "weather", 0, 10))
    assert [is_of(one.reading, WEATHER) for one in (first, second)] == [True, False]
    await database.write(lambda session: repair(session, {"weather": fahrenheit}))
    for quantities, mean in ((WEATHER, 20.0), (fahrenheit, 68.0)):
        assert await temperatures(quantities, "temperature_mean", step_s=60) == [mean]


async def test_a_reading_comes_back_as_it_was_stored(database: Database) -> None:
    one, other = weather(1, 21.5, 350.0, 55.0), weather(2, None, 3.0, 56.0)
    await store(database, [one, other])
    found = await database.read(lambda session: readings_after(session, "weather", 0, 10))
    between = list(
        await database.read(lambda session: list(readings_between(session, "weather", START, START + HOUR, 1)))
    )
    latest = (await database.read(latest_snapshots))["weather"]
    assert [one.reading.quantities for one in found] == [one.reading.quantities, other.reading.quantities]
    assert [list(one.reading.quantities or ()) for one in between] == [list(WEATHER)] * 2
    assert latest.reading.quantities == {"temperature": None, "direction": 3.0, "sound": 56.0}
    assert (latest.quality, latest.reading.value("lp")) == (("missing",), None)
    assert await database.read(lambda session: recent_lp(session, "weather", START)) == []


async def test_a_minute_has_the_mean_its_quantity_asks_for_over_several_batches(database: Database) -> None:
    maker = BatchMaker(sqlite_time if database.dialect == "sqlite" else lambda at: at)
    await store(database, [weather(1, 10.0, 350.0, 50.0), weather(2, 20.0, 355.0, 60.0)], maker)
    await store(database, [weather(3, None, None, 70.0), weather(4, 30.0, 5.0, None)], maker)
    (temperature,) = await minutes_of(database, "temperature")
    (direction,) = await minutes_of(database, "direction")
    (sound,) = await minutes_of(database, "sound")
    assert (temperature.min, temperature.max, temperature.last, temperature.count) == (10.0, 30.0, 30.0, 4)
    assert temperature.mean == pytest.approx(temperature.total / temperature.weight_s)
    assert (direction.averaging, direction.mean, direction.last) == (None, None, 5.0)
    assert (sound.averaging, sound.min, sound.max, sound.last) == ("energy", 50.0, 70.0, 70.0)
    assert sound.mean == pytest.approx(10 * log10(sound.total / sound.weight_s))


async def test_steps_of_minutes_and_of_readings_agree(database: Database) -> None:
    readings = [weather(n, 20.0 + n % 5, float(n), 50.0 + n % 7) for n in range(600)]
    await store(database, readings)
    by_minute, by_readings = (await ask(database, step_s=300)).items, (await ask(database, step_s=150)).items
    assert [item["at"] for item in by_minute] == [START, START + timedelta(seconds=300)]
    assert [item["at"] for item in by_readings] == [START + timedelta(seconds=150 * n) for n in range(4)]
    assert sum(item["count"] for item in by_minute) == sum(item["count"] for item in by_readings) == 600
    first = by_minute[0]
    assert first["temperature_mean"] == pytest.approx(22.0, abs=0.02)
    assert (first["temperature_min"], first["temperature_max"], first["direction_last"]) == (20.0, 24.0, 299.0)
    assert first["direction_last"] == by_readings[1]["direction_last"]
    halves = [item["sound_mean"] for item in by_readings[:2]]
    energy = 10 * log10(sum(10 ** (level / 10) for level in halves) / 2)
    assert first["sound_mean"] == pytest.approx(energy, abs=0.02)
    assert first["coverage"] == 1.0


async def test_raw_history_has_the_quantities_of_the_unit_and_pages_join(database: Database) -> None:
    await store(database, [weather(n, float(n)) for n in range(1, 8)])
    page = await ask(database, limit=4, metrics=["temperature"])
    rest = await ask(database, limit=4, metrics=["temperature"], cursor=page.next_cursor)
    assert [item["temperature"] for item in (*page.items, *rest.items)] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert list((await ask(database, limit=1)).items[0]) == [
        "at", "sequence", "temperature", "direction", "sound", "measurement_state", "quality",
    ]  # fmt: skip


@pytest.mark.parametrize(("step_s", "metric"), [(None, "lp"), (60, "direction_mean"), (60, "lp")])
async def test_what_a_unit_does_not_measure_cannot_be_asked_for(
    sqlite: Database, step_s: float | None, metric: str
) -> None:
    with pytest.raises(ValueError, match=f"there is no {metric}"):
        await ask(sqlite, step_s=step_s, metrics=[metric])


async def test_an_export_of_different_units_has_the_columns_of_all_and_leaves_cells_empty(
    database: Database,
) -> None:
    await store(database, [weather(1, 21.5, 350.0), snapshot(1)])
    units = [
        ExportedUnit("gate-a", "Gate A", lambda settings: {"lp": "LAF", "leq": "LAeq"}),
        ExportedUnit("weather", "Mast", lambda settings: {}, WEATHER),
    ]
    pieces = [piece async for piece in export_rows(database, units, START, START + HOUR)]
    gate, mast = csv.DictReader(io.StringIO("".join(pieces)))
    assert (gate["lp"], gate["temperature"], gate["lp_label"], gate["units"]) == ("60.0", "", "LAF", "")
    assert (mast["lp"], mast["temperature"], mast["direction"], mast["name"]) == ("", "21.5", "350.0", "Mast")
    assert (mast["lp_label"], mast["units"]) == ("", "temperature °C, direction °, sound dB")
    alone = [piece async for piece in export_rows(database, units[1:], START, START + HOUR, step_s=60)]
    assert alone[0].splitlines()[0] == (
        "unit_id,at,temperature_mean,temperature_min,temperature_max,direction_last,"
        "sound_mean,sound_min,sound_max,count,coverage,name,units"
    )


async def test_repair_makes_latest_and_minutes_again_as_they_were(database: Database) -> None:
    await store(database, [weather(n, float(n), float(n), 50.0 + n % 7) for n in range(1, 100)])
    whole = [await minutes_of(database, name) for name in WEATHER]
    await database.write(lambda session: session.execute(sa.delete(MINUTES)))
    await database.write(lambda session: repair(session, {"weather": WEATHER}))
    again = [await minutes_of(database, name) for name in WEATHER]
    for before, after in zip(chain(*whole), chain(*again), strict=True):
        assert tuple(after)[:4] == tuple(before)[:4]
        assert tuple(after)[4:] == pytest.approx(tuple(before)[4:])
    latest = (await database.read(latest_snapshots))["weather"]
    assert (latest.sequence, latest.reading.value("temperature")) == (99, 99.0)


async def test_old_minutes_go_and_young_ones_stay(database: Database) -> None:
    await store(database, [weather(1), weather(2, after_s=7200)])
    before = START + HOUR
    assert await database.read(lambda session: units_with_old(session, before, table=MINUTES)) == ["weather"]
    await database.write(lambda session: delete_rows(session, before, 10, table=MINUTES, unit_id="weather"))
    assert [row.at for row in await minutes_of(database, "temperature")] == [START + timedelta(hours=2)]


def test_a_value_beyond_reckoning_costs_its_own_reading_alone() -> None:
    batch = BatchMaker(sqlite_time).make([weather(1, sound=1e9), weather(2, float("nan")), weather(3)])
    assert [row[2] for row in batch.readings] == [3]
    assert len(batch.refused) == 2
    assert {one.count for one in batch.quantity_minutes.values()} == {1}


def test_a_sound_level_meter_leaves_no_quantities_and_another_instrument_no_levels() -> None:
    batch = BatchMaker(sqlite_time).make([snapshot(1), weather(1)])
    assert [row[-1] is None for row in batch.readings] == [True, False]
    assert ({unit for unit, _ in batch.minutes}, {unit for unit, _, _ in batch.quantity_minutes}) == (
        {"gate-a"},
        {"weather"},
    )


def test_the_mean_weighs_each_reading_by_the_time_it_stands_for() -> None:
    one = QuantitySum("arithmetic")
    one.add(10.0, 1.0, 1.0)
    one.add(None, 1.0, 1.0)
    one.add(40.0, 60.0, 2.0)
    assert (one.mean, one.count, one.covered_s, one.weight_s) == (30.0, 3, 4.0, 3.0)


def test_a_quantity_that_is_no_longer_configured_is_left_out() -> None:
    reading = QuantityReading({"old": 1.0}, {"old": Metric("old")})
    assert reading.value("temperature") is None
