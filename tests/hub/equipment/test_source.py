"""The source that a configuration names, and the whole feed on the real driver."""

from zoneinfo import ZoneInfo

import anyio
import pytest
from pydantic import SecretStr

from hub.config.models import OracleEquipmentFeed, SampleEquipmentFeed
from hub.equipment.announce import Callbacks
from hub.equipment.feed import EquipmentFeed
from hub.equipment.reads import Found, Page
from hub.equipment.source import source_of
from hub.readings.snapshot import MachineChange
from hub.runtime.clock import Clock
from hub.simulators.oracle import Plant, open_oracle
from hub.simulators.oracle.encoding import Raw, Scalar, date_bytes
from tests.oracle_database import OracleDatabase, feed_keys
from tests.redis_server import eventually

pytestmark = pytest.mark.anyio


def oracle_feed(dsn: str, **options: object) -> OracleEquipmentFeed:
    return OracleEquipmentFeed.model_validate(
        {"kind": "oracle-equipment", "id": "fab", "dsn": dsn, "user": "reader", "password": "secret", **options}
    )


def feed_on(config: OracleEquipmentFeed, callbacks: Callbacks | None = None) -> EquipmentFeed:
    return EquipmentFeed("fab", source_of(config, Clock(), "Asia/Taipei"), Clock(), 300.0, callbacks=callbacks)


def test_the_zone_of_the_view_is_the_feeds_own_or_else_the_hubs() -> None:
    own = source_of(oracle_feed("h:1/X", timezone="Asia/Taipei"), Clock(), "Europe/London")
    hubs = source_of(oracle_feed("h:1/X"), Clock(), "Europe/London")
    assert (own.zone, hubs.zone) == (ZoneInfo("Asia/Taipei"), ZoneInfo("Europe/London"))


def test_dropped_columns_are_neither_asked_for_nor_kept() -> None:
    source = source_of(oracle_feed("h:1/X", drop_columns=["CREATEUSER"]), Clock())
    assert '"CREATEUSER"' not in source.sql
    assert source.drop == ("CREATEUSER",)


def test_the_password_is_not_in_the_repr() -> None:
    config = oracle_feed("h:1/X")
    assert config.password == SecretStr("secret")
    assert "secret" not in repr(source_of(config, Clock()))


async def test_the_sample_plant_needs_no_database() -> None:
    config = SampleEquipmentFeed(kind="sample-equipment", id="demo", machines=30)
    one = EquipmentFeed("demo", source_of(config, Clock()), Clock(), 300.0)
    await one.refresh()
    assert one.status()["machines"] == 30
    assert one.status()["unknown_codes"] == {}


async def test_a_plant_in_oracle_is_read_and_its_changes_are_announced(oracle: OracleDatabase) -> None:
    changes: list[MachineChange] = []
    plant = Plant(60, 50)
    await oracle.load(plant.view.rows)
    one = feed_on(oracle_feed(**feed_keys(oracle)), Callbacks(on_change=changes.append))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await eventually(lambda: one.head.generation is not None)
        resource_id = plant.machines[7].strip()
        found = one.get(resource_id)
        assert isinstance(found, Found)
        before = found.machine.status
        plant.set_status(plant.machines[7], "ZZZ", "odd")
        await oracle.load(plant.view.rows)
        assert (await one.refresh(force=True)).kind == "refreshed"
        await eventually(lambda: bool(changes))
        tasks.cancel_scope.cancel()
    assert one.status()["unknown_codes"] == {"ZZZ": 1}
    [change] = changes
    assert (change.subject, change.old) == (f"equipment/fab/{resource_id}", before)
    assert (change.new, change.reason) == ("ZZZ", "odd")


async def test_an_emptied_view_is_refused_and_the_plant_stays(oracle: OracleDatabase) -> None:
    await oracle.load(Plant(60, 50).view.rows)
    one = feed_on(oracle_feed(**feed_keys(oracle)))
    await one.refresh()
    await oracle.load([])
    one._sync._interval_s = 0.0
    assert (await one.refresh()).kind == "refused"
    assert one.status()["machines"] == 50


async def test_a_database_that_goes_and_comes_back_costs_no_plant() -> None:
    async with open_oracle(plant=Plant(60, 50)) as server:
        one = feed_on(oracle_feed(server.dsn))
        await one.refresh()
        port = server.port
        server.stop_listening()
        outcome = await one.refresh(force=True)
        assert (outcome.kind, outcome.code) == ("failed", "DPY-6005")
        assert one.status()["machines"] == 50
        await server.start_listening(port)
        assert (await one.refresh(force=True)).kind == "refreshed"
        assert one.status()["last_error"] is None


@pytest.mark.parametrize("knows_to_char", [True, False])
async def test_bad_cells_of_one_machine_are_empty_and_counted_and_its_alarm_comes(knows_to_char: bool) -> None:
    async with open_oracle(plant=Plant(20, 20)) as server:
        server.plant.view.knows_to_char = knows_to_char
        one = feed_on(oracle_feed(server.dsn))
        await one.refresh()
        machine, other = server.plant.machines[7], server.plant.machines[3]
        half = Raw("陳技師".encode()[:-1])
        server.plant.set_status(machine, "UDT", "Vacuum low")
        changes: dict[str, Scalar] = {"CREATEDATE": date_bytes(-4712), "TECHNICIANUSERNAME": half}
        server.plant.view.update("RESOURCEID", machine, changes)
        server.plant.view.update("RESOURCEID", other, {"LOTTRACKINTIME": date_bytes(0)})
        outcome = await one.refresh(force=True)
        assert (outcome.kind, outcome.machines) == ("refreshed", 20)
        found = one.get(machine)
        assert isinstance(found, Found)
        record = found.machine.record()
        assert (record["STATUS_CATEGORY"], record["CREATEDATE"]) == ("DOWN", None)
        assert record["TECHNICIANUSERNAME"] == "陳技\N{REPLACEMENT CHARACTER}"
        status = one.status()
        assert (status["bad_times"], status["bad_texts"], status["bad_quantities"]) == (2, 1, 0)
        assert status["last_error"] is None
        loaded = one.list()
        assert isinstance(loaded, Page)
        assert sum(machine.record()["LATEST_TRACKIN_TIME"] is not None for machine in loaded.items) > 5
