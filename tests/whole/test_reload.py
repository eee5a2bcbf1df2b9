"""A changed file is taken up while the hub runs: what changed, and nothing else."""

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.elapsed import takes_less_than
from tests.whole.running_hub import RunningHub, eventually
from tests.whole.site import LOUD, Site, is_about, loud_rule, open_site

pytestmark = pytest.mark.anyio


async def test_units_come_and_go_and_the_others_keep_their_sockets(tmp_path: Path) -> None:
    async with open_site(tmp_path, 3) as site:
        *first, last = site.config["units"]
        site.config["units"] = first
        async with site.run() as hub:
            await eventually(lambda: all(meter.has_session for meter in site.meters[:2]))
            site.config["units"] = [first[0], last]
            site.write()  # the file alone
            with takes_less_than(5):  # a look each second, and 0.3 s for a file that may still be written
                await site.meters[1].until(lambda: not site.meters[1].has_session)
                await site.meters[2].until(lambda: site.meters[2].counters.commands["DOD?"] > 2)
            await hub.get("/api/units/gate-1", 404)
            assert [one["id"] for one in (await hub.get("/api/units"))["items"]] == ["gate-0", "gate-2"]
            await eventually(lambda: site.rows("SELECT 1 FROM readings WHERE unit_id = 'gate-2'"))
            asked = site.meters[1].counters.commands["DOD?"]
            site.meters[2].set_lp(LOUD)
            await site.hears("alert.onset", "loud", "gate-2")
            assert site.meters[1].counters.commands["DOD?"] == asked
            assert [meter.counters.connections for meter in site.meters] == [1, 1, 1]
            assert site.rows("SELECT 1 FROM readings WHERE unit_id = 'gate-1'")
            assert await hub.stop() == 0


@pytest.mark.parametrize("change", [{"timeouts": {"reply": "2s"}}, {"id": "renamed"}])
async def test_a_changed_unit_gives_its_meter_time_to_free_the_slot(tmp_path: Path, change: dict[str, Any]) -> None:
    async with open_site(tmp_path, 1) as site:
        unit = site.config["units"][0]
        unit["reconnect"] = "1s"
        meter = site.meters[0]
        async with site.run() as hub:
            await eventually(lambda: meter.has_session)
            unit |= change
            site.write()
            hub.send(signal.SIGHUP)
            with takes_less_than(8):  # the meter has 1 s to free its slot
                await meter.until(lambda: not meter.has_session)
                closed_s = anyio.current_time()
                await meter.until(lambda: meter.counters.connections == 2)
            assert anyio.current_time() - closed_s > 0.8
            assert meter.counters.second_connections == 0
            assert await hub.stop() == 0


async def test_what_the_link_does_not_need_changes_with_the_socket_kept(tmp_path: Path) -> None:
    async with open_site(tmp_path, 2) as site:
        site.config["alerts"]["rules"] = [loud_rule(match={"site": "yard"})]
        meter, unit = site.meters[0], site.config["units"][0]
        unit["labels"], site.config["units"][1]["labels"] = {"site": "dock"}, {"site": "yard"}
        meter.set_lp(LOUD)
        async with site.run() as hub:
            await eventually(lambda: meter.has_session)
            async with hub.watch("/api/units/gate-0/live") as viewer:
                unit |= {"name": "Gate Zero", "labels": {"site": "yard"}}
                await _reload(site, hub)
                onset = await site.hears("alert.onset", "loud", "gate-0")
                assert onset.document["alert"]["labels"] == {"site": "yard"}
                assert (await hub.get("/api/units/gate-0"))["name"] == "Gate Zero"
                unit |= {"labels": {"site": "dock"}, "monitor": False, "offline_after": 7}
                unit["poll"] |= {"background": "300ms"}
                await _reload(site, hub)
                cleared = await site.hears("alert.clear", "loud", "gate-0")
                assert cleared.document["alert"]["reason"] == "no-longer-matches"
                await viewer.receive_json(timeout=5)
            assert not (await hub.get("/api/monitors"))["items"][0]["keep_alive"]
            asked = meter.counters.commands["DOD?"]
            await eventually(lambda: meter.counters.commands["DOD?"] > asked + 2)
            assert meter.counters.connections == 1
            assert await hub.stop() == 0


async def test_a_changed_rule_closes_its_alert_and_decides_anew(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        site.config["alerts"]["rules"].append(loud_rule(name="loud-too"))
        async with site.run() as hub:
            site.meters[0].set_lp(LOUD)
            first = await site.hears("alert.onset", "loud")
            await site.hears("alert.onset", "loud-too")
            site.config["alerts"]["rules"][0]["above"] = LOUD - 1
            await _reload(site, hub)
            ended = await site.hears("alert.clear", "loud")
            assert (ended.document["id"], ended.document["alert"]["reason"]) == (
                first.document["id"],
                "rule-changed",
            )
            again = await eventually(
                lambda: [one for one in site.told() if _is_new_onset(one, first.document["id"])]
            )
            assert again[0]["alert"]["threshold"] == LOUD - 1

            del site.config["alerts"]["rules"][1]
            await _reload(site, hub)
            assert (await site.hears("alert.clear", "loud-too")).document["alert"]["reason"] == "rule-removed"
            assert site.meters[0].counters.connections == 1
            assert await hub.stop() == 0
        assert Counter(one["type"] for one in site.told()) == {"alert.onset": 3, "alert.clear": 2}


async def test_a_bad_file_changes_nothing_and_is_told(tmp_path: Path) -> None:
    async with open_site(tmp_path, 2) as site, site.run() as hub:
        await eventually(lambda: all(meter.has_session for meter in site.meters))
        good = site.path.read_text()
        site.path.write_text(good.replace("gate-1", "gate 1"))
        hub.send(signal.SIGHUP)
        onset = await site.hears("alert.onset", "config-rejected")
        assert "units[1].id" in onset.document["summary"]
        assert any("nothing changed" in line for line in hub.lines)
        assert {one["id"] for one in (await hub.get("/api/units"))["items"]} == {"gate-0", "gate-1"}
        site.meters[1].set_lp(LOUD)
        await site.hears("alert.onset", "loud", "gate-1")
        site.path.write_text(good)
        cleared = await site.hears("alert.clear", "config-rejected")
        assert cleared.document["id"] == onset.document["id"]
        assert [meter.counters.connections for meter in site.meters] == [1, 1]
        assert await hub.stop() == 0


async def test_what_changed_while_the_hub_was_down_is_told_once_at_the_start(tmp_path: Path) -> None:
    async with open_site(tmp_path, 20) as site:
        async with site.run() as hub:
            for meter in site.meters:
                meter.set_lp(LOUD)
            await eventually(lambda: site.receiver.count == len(site.meters))
            assert await hub.stop() == 0
        site.config["alerts"]["rules"][0]["above"] = LOUD + 10
        del site.config["units"][10:]
        async with site.run() as hub:
            await eventually(lambda: site.receiver.count >= 2 * len(site.meters))
            await eventually(lambda: not site.rows("SELECT 1 FROM deliveries WHERE state <> 'delivered'"))
            assert (await hub.get("/api/alerts?state=open"))["items"] == []
            assert await hub.stop() == 0
        cleared = Counter(one["alert"]["reason"] for one in site.told() if one["type"] == "alert.clear")
        assert cleared == {"rule-changed": 20}
        assert max(Counter(received.id for received in site.receiver.received).values()) == 1
        sent = {received.id: received.body for received in site.receiver.received}
        assert {row["id"]: row["body"].encode() for row in site.rows("SELECT id, body FROM deliveries")} == sent


async def test_what_people_said_of_a_monitor_holds_until_its_configuration_changes(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        site.config["alerts"]["rules"] = []
        async with site.run() as hub:
            await hub.ask("PUT", "/api/units/gate-0/monitor", json={"keep_alive": False})
            await hub.kill()
        async with site.run() as hub:
            assert not (await _monitor(hub))["running"]
            site.config["units"][0]["name"] = "Gate Zero"
            await _reload(site, hub)
            assert (await _monitor(hub))["running"]
            await hub.ask("POST", "/api/units/gate-0/release")
            await hub.ask("POST", "/api/units/gate-0/resume")
            await hub.kill()
        async with site.run() as hub:
            assert (await _monitor(hub))["keep_alive"]


async def _monitor(hub: RunningHub) -> Any:
    [monitor] = (await hub.get("/api/monitors"))["items"]
    return monitor


async def _reload(site: Site, hub: RunningHub) -> None:
    """Write the file and have it taken up now."""
    before = sum("configuration applied" in line for line in hub.lines)
    site.write()
    hub.send(signal.SIGHUP)
    await eventually(lambda: sum("configuration applied" in line for line in hub.lines) > before)


def _is_new_onset(document: dict[str, Any], known: str) -> bool:
    return is_about(document, "alert.onset", "loud") and document["id"] != known
