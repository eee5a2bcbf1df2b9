"""Settings of meters in SQL: back after a restart with their age, one meter's at a time, kept while SQL is away."""

from datetime import timedelta

import anyio
import pytest
import sqlalchemy as sa

from hub.database.database import Database
from hub.instruments.setting import Setting
from hub.runtime.clock import Clock
from hub.store.meter_settings import SettingsWriter, load_settings, restored, save_settings
from hub.store.tables import StoredMeterSetting

pytestmark = pytest.mark.anyio


async def written(writer: SettingsWriter) -> None:
    with anyio.fail_after(60):
        while writer.pending:
            await anyio.sleep(0.01)


async def test_settings_come_back_with_their_age(database: Database) -> None:
    clock = Clock()
    writer, now_s = SettingsWriter(database, clock), clock.steady()
    settings = {
        "Serial Number": Setting("00412345", now_s - 100, now_s - 5000),
        "Percentile 1": Setting(None, now_s - 50, now_s - 50, "R+0001"),
    }
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        writer.offer_nowait("gate-a", settings)
        writer.offer_nowait("gate-b", {})
        await written(writer)
        tasks.cancel_scope.cancel()
    found = restored((await database.read(load_settings))["gate-a"], clock)
    assert found.keys() == settings.keys()
    for name, setting in settings.items():
        assert (found[name].value, found[name].refusal) == (setting.value, setting.refusal)
        assert found[name].asked_s == pytest.approx(setting.asked_s, abs=0.5)
        assert found[name].since_s == pytest.approx(setting.since_s, abs=0.5)


async def test_another_meter_leaves_nothing_of_the_one_before(database: Database) -> None:
    clock = Clock()
    writer = SettingsWriter(database, clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        writer.offer_nowait("gate-a", {name: Setting("1", 0.0, 0.0) for name in ("Serial Number", "Type")})
        await written(writer)
        writer.offer_nowait("gate-a", {"Serial Number": Setting("2", 0.0, 0.0)})
        tasks.cancel_scope.cancel()  # what waits is written before the end
    rows = (await database.read(load_settings))["gate-a"]
    assert [(row.name, row.value) for row in rows] == [("Serial Number", "2")]


async def test_what_could_not_be_written_is_kept_and_the_newest_wins(sqlite: Database) -> None:
    clock = Clock()
    writer = SettingsWriter(sqlite, clock)
    await sqlite.write(lambda session: session.execute(sa.text("ALTER TABLE meter_settings RENAME TO elsewhere")))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writer.run)
        writer.offer_nowait("gate-a", {"Type": Setting("NL-43", 0.0, 0.0)})
        await anyio.sleep(0.2)
        assert writer.pending == 1
        writer.offer_nowait("gate-a", {"Type": Setting("NL-53", 0.0, 0.0)})
        await sqlite.write(
            lambda session: session.execute(sa.text("ALTER TABLE elsewhere RENAME TO meter_settings"))
        )
        await written(writer)
        tasks.cancel_scope.cancel()
    assert [row.value for row in (await sqlite.read(load_settings))["gate-a"]] == ["NL-53"]


async def test_a_time_that_lies_ahead_counts_as_now(database: Database) -> None:
    clock = Clock()
    ahead = clock.now() + timedelta(days=3)
    row = StoredMeterSetting(unit_id="a", name="Type", value="NL-43", asked_at=ahead, since_at=ahead)
    await database.write(lambda session: save_settings(session, "a", [row]))
    found = restored((await database.read(load_settings))["a"], clock)
    assert found["Type"].asked_s == pytest.approx(clock.steady(), abs=1)
