"""A plant in a whole hub: from a status in the view to the API, a row and a signed message."""

import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from hub.cache.redis import open_redis
from hub.simulators.oracle import OraError, Plant, open_oracle
from hub.simulators.oracle.encoding import date_bytes
from tests.free_port import free_port
from tests.oracle_database import OracleDatabase, feed_keys
from tests.redis_server import private_redis
from tests.whole.running_hub import RunningHub, eventually
from tests.whole.site import Site, open_site

pytestmark = pytest.mark.anyio

DOWN = {"name": "down", "match": {"feed": "fab"}, "metric": "status_category", "equals": "DOWN"} | {
    "for": "1s", "clear_for": "0s", "cooldown": "0s", "notify": ["ops"],
}  # fmt: skip
SOON_S = 10.0
"""For a change of the view to be told: an interval of 1 s and the rule's second, with room for a busy machine."""
ROWS = "SELECT subject, old, new, reason FROM machine_status_changes ORDER BY id"


def oracle_feed(dsn: str, **keys: Any) -> dict[str, Any]:
    """A feed of an Oracle, by default of the wire server, read every second."""
    account = {"dsn": dsn, "user": "reader", "password": "secret", "timezone": "Asia/Taipei"}
    return {"id": "fab", "kind": "oracle-equipment", "interval": "1s", **account, **keys}


def sample_feed(**keys: Any) -> dict[str, Any]:
    return {"id": "fab", "kind": "sample-equipment", "machines": 300, "interval": "1s", **keys}


def all_productive(machines: int = 20) -> Plant:
    """A plant in which nothing is wrong."""
    plant = Plant(rows=machines, machines=machines)
    for machine in plant.machines:
        plant.set_status(machine, "PRD")
    return plant


async def loaded(hub: RunningHub) -> dict[str, Any]:
    """The status of the feed, once it has been read."""
    while True:
        status: dict[str, Any] = await hub.get("/api/equipment/status")
        if status["loaded"]:
            return status
        await anyio.sleep(0.02)


async def test_a_status_in_oracle_is_in_the_api_in_a_row_and_told_once_over_a_restart(
    tmp_path: Path, oracle: OracleDatabase
) -> None:
    plant = all_productive()
    machine, other = plant.machines[3], plant.machines[4]

    async def set_status(machine: str, status: str, reason: str | None = None) -> None:
        plant.set_status(machine, status, reason)
        await oracle.load(plant.view.rows)

    await oracle.load(plant.view.rows)
    async with open_site(tmp_path, 1) as site:
        site.config["feeds"] = [oracle_feed(**feed_keys(oracle))]
        site.config["alerts"]["rules"] = [DOWN]
        async with site.run() as hub:
            with anyio.fail_after(60):
                status = await loaded(hub)
            assert (status["machines"], status["rows"], status["last_outcome"]) == (20, 20, "refreshed")
            await set_status(machine, "UDT", "Vacuum low")
            onset = (await site.hears("alert.onset", "down", machine, within_s=SOON_S)).document
            assert onset["alert"]["labels"] == {"feed": "fab"}
            assert onset["alert"]["value"] == "DOWN"
            shown = await hub.get(f"/api/equipment/{machine}")
            assert shown["record"]["STATUS_CATEGORY"] == "DOWN"
            down = (await hub.get("/api/equipment?category=DOWN"))["items"]
            assert [record["RESOURCEID"] for record in down] == [machine]
            rows = await eventually(lambda: found if len(found := changes(site)) == 21 else [])
            assert rows[-1] == (f"equipment/fab/{machine}", "PRD", "UDT", "Vacuum low")
            assert {row[1] for row in rows[:20]} == {None}
            await eventually(lambda: site.rows("SELECT 1 FROM deliveries WHERE state = 'delivered'"))
            await hub.kill()
        await set_status(other, "SBY")  # while nobody looks
        async with site.run() as hub:
            rows = await eventually(lambda: found if len(found := changes(site)) == 22 else [])
            assert rows[-1][:3] == (f"equipment/fab/{other}", "PRD", "SBY")
            await set_status(machine, "PRD", "Production RUN")
            await site.hears("alert.clear", "down", machine, within_s=SOON_S)
            assert await hub.stop() == 0
        assert changes(site)[22:] == [(f"equipment/fab/{machine}", "UDT", "PRD", "Production RUN")]
        assert [one["type"] for one in site.told() if one["alert"]["rule"] == "down"] == [
            "alert.onset",
            "alert.clear",
        ]


async def test_a_date_before_christ_costs_neither_the_alarm_nor_the_feed(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, open_oracle(plant=all_productive()) as server:
        site.config["feeds"] = [oracle_feed(server.dsn)]
        site.config["alerts"]["rules"] = [DOWN]
        machine = server.plant.machines[3]
        async with site.run() as hub:
            with anyio.fail_after(60):
                await loaded(hub)
            server.plant.view.update("RESOURCEID", machine, {"CREATEDATE": date_bytes(-4712)})
            server.plant.set_status(machine, "UDT", "Vacuum low")
            await site.hears("alert.onset", "down", machine, within_s=SOON_S)
            status = await hub.get("/api/equipment/status")
            assert (status["last_outcome"], status["bad_times"], status["health"]) == ("refreshed", 1, "ok")
            assert (await hub.get(f"/api/equipment/{machine}"))["record"]["CREATEDATE"] is None
            [child] = [one for one in (await hub.get("/api/supervisor"))["items"] if one["name"] == "feed/fab"]
            assert (child["state"], child["restarts"]) == ("running", 0)


async def test_a_dead_oracle_is_told_and_the_last_answer_stays(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, open_oracle(plant=all_productive()) as server:
        site.config["feeds"] = [oracle_feed(server.dsn)]
        async with site.run() as hub:
            with anyio.fail_after(60):
                before = await loaded(hub)
            server.faults.errors["WIP_V"] = OraError(942, "table or view does not exist")
            told = (await site.hears("alert.onset", "feed-failing", within_s=SOON_S)).document
            assert told["alert"]["subject"] == "fab"
            listed = await hub.get("/api/equipment")
            assert (len(listed["items"]), listed["stale"]) == (20, True)
            assert listed["generation"] >= before["generation"]
            status = await hub.get("/api/equipment/status")
            assert (status["last_outcome"], status["last_error"]["code"]) == ("failed", "ORA-00942")
            server.faults.errors.clear()
            await site.hears("alert.clear", "feed-failing", within_s=SOON_S)
            refreshed = await hub.ask("POST", "/api/equipment/refresh?force=true")
            assert refreshed["outcome"] in ("refreshed", "lock_held")  # held: the feed reads just now


async def test_a_machine_of_the_sample_plant_that_is_down_is_told(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        site.config["feeds"] = [sample_feed()]
        site.config["alerts"]["rules"] = [DOWN]
        async with site.run() as hub:
            onset = (await site.hears("alert.onset", "down", within_s=60)).document["alert"]
            record = (await hub.get(f"/api/equipment/{onset['subject']}"))["record"]
            assert record["STATUS_CATEGORY"] == "DOWN"
            assert onset["labels"] == {"feed": "fab"}


async def test_without_its_redis_a_feed_is_degraded_and_served(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        site.config["feeds"] = [sample_feed()]
        site.config["redis"] = {"url": f"redis://127.0.0.1:{free_port()}/0"}
        async with site.run() as hub:
            with anyio.fail_after(60):
                await loaded(hub)
            listed = await hub.get("/api/equipment")
            assert (len(listed["items"]), listed["degraded"], listed["stale"]) == (300, True, False)
            health = await hub.get("/healthz")
            assert (health["status"], health["checks"]["equipment"]["status"]) == ("degraded", "degraded")


async def test_a_reload_adds_changes_and_removes_feeds(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        async with site.run() as hub:
            await hub.get("/api/equipment", status=404)
            await reloaded(site, hub, [sample_feed(), sample_feed(id="pilot", machines=7)])
            with anyio.fail_after(60):
                assert (await loaded(hub))["machines"] == 300
            started = await children(hub)
            await reloaded(site, hub, [sample_feed(machines=250), sample_feed(id="pilot", machines=7)])
            after = await children(hub)
            assert after["feed/pilot"] == started["feed/pilot"]
            assert after["feed/fab"] != started["feed/fab"]
            await reloaded(site, hub, [sample_feed(id="pilot", machines=7)])
            assert [name for name in await children(hub) if name.startswith("feed/")] == ["feed/pilot"]
            await hub.get("/api/equipment?feed=fab", status=404)
            assert (await hub.get("/api/equipment/status"))["feed"] == "pilot"


async def reloaded(site: Site, hub: RunningHub, feeds: list[dict[str, Any]]) -> None:
    """The hub has taken up these feeds."""
    before = len([line for line in hub.lines if "configuration applied" in line])
    site.config["feeds"] = feeds
    site.write()
    hub.send(signal.SIGHUP)
    await eventually(lambda: len([line for line in hub.lines if "configuration applied" in line]) > before, 10)


async def children(hub: RunningHub) -> dict[str, str]:
    """When each child among the feeds was started."""
    every = (await hub.get("/api/supervisor"))["items"]
    return {child["name"]: child["started_at"] for child in every if child["group"] == "feeds"}


def changes(site: Site) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in site.rows(ROWS)]


async def test_a_wrong_password_costs_one_logon_and_a_reload_with_a_good_one_tries_at_once(
    tmp_path: Path,
) -> None:
    async with open_site(tmp_path, 1) as site, open_oracle(plant=all_productive()) as server:
        site.config["feeds"] = [oracle_feed(server.dsn, password="not-this-one")]
        async with site.run() as hub:
            await site.hears("alert.onset", "feed-failing", within_s=15)
            for _ in range(3):
                trace = await hub.get("/api/trace/status")
                assert (trace["database"]["reachable"], trace["database"]["code"]) == (False, "ORA-01017")
            status = await hub.get("/api/equipment/status")
            assert status["last_error"]["code"] == "ORA-01017"
            assert "user reader" in status["last_error"]["text"]
            assert "feeds[].password" in status["last_error"]["text"]
            assert status["next_due_in_s"] > 30
            assert server.counters.failed_logins == 1
            await reloaded(site, hub, [oracle_feed(server.dsn)])
            with anyio.fail_after(10):
                assert (await loaded(hub))["last_error"] is None
            assert "not-this-one" not in "".join(hub.lines)


async def test_a_stop_while_a_refresh_hangs_keeps_its_time_and_frees_the_lock(tmp_path: Path) -> None:
    async with (
        private_redis() as redis,
        open_site(tmp_path, 1) as site,
        open_oracle(plant=all_productive()) as server,
    ):
        site.config["feeds"] = [oracle_feed(server.dsn, interval="5m")]
        site.config["redis"] = {"url": redis.url}
        async with site.run() as hub:
            with anyio.fail_after(10):
                await loaded(hub)
            server.faults.hang, server.faults.ignore_break = "WIP_V", True
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hub.ask, "POST", "/api/equipment/refresh?force=true", 503)
                await eventually(lambda: server.counters.executing == 1)
                assert await hub.stop() == 0
        async with open_redis(redis.url) as clients:
            held = [key async for key in clients.commands.scan_iter("*lock*fab*")]
        assert [key for key in held if not key.endswith(b":generation")] == []
        server.faults.hang = None
        async with site.run() as hub:
            with anyio.fail_after(10):
                assert (await loaded(hub))["machines"] == 20
