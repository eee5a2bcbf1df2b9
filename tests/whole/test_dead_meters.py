"""Meters that are away: told once, back once, in nobody's way; and a released one is left alone."""

from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from tests.elapsed import takes_less_than
from tests.whole.running_hub import eventually
from tests.whole.site import LOUD, QUIET, Site, open_site

pytestmark = pytest.mark.anyio

_DEAD = {0: "hang_connect", 5: "refuse", 10: "mute", 15: "half_open"}


async def test_a_fifth_of_the_meters_dead_slows_nobody_and_is_told_once(tmp_path: Path) -> None:
    async with open_site(tmp_path, 20) as site:
        for unit in site.config["units"]:
            unit["timeouts"] = {"connect": "300ms", "reply": "300ms"}
            unit |= {"reconnect": "20ms", "offline_after": 2}
        for number, fault in _DEAD.items():
            site.meters[number].set_fault(fault)
        async with site.run() as hub:
            for number in _DEAD:
                await site.hears("alert.onset", "unit-unreachable", f"gate-{number}", 10)
            alive = [number for number in range(20) if number not in _DEAD]
            last = {number: _last(site, number) for number in alive}
            await anyio.sleep(1.5)  # long enough to see a cadence
            for number in alive:
                read = _count_since(site, number, last[number])
                assert read >= 8, f"gate-{number} was read {read} times in 1.5 s"
                assert _longest_pause_s(site, number) < 1.0
            states = {one["id"]: one["state"] for one in (await hub.get("/api/units"))["items"]}
            assert {unit for unit, state in states.items() if state == "unreachable"} == {
                f"gate-{n}" for n in _DEAD
            }
            health = await hub.get("/healthz")
            assert (health["status"], health["checks"]["units"]["unreachable"]) == ("degraded", 4)
            await hub.kill()
        async with site.run() as hub:  # in the middle of the outage, which is known already
            with takes_less_than(10):  # two attempts of 0.3 s each
                while (await hub.get("/healthz"))["checks"]["units"]["unreachable"] < len(_DEAD):
                    await anyio.sleep(0.05)
            for number in _DEAD:
                site.meters[number].set_fault("none")
            for number in _DEAD:
                await site.hears("alert.clear", "unit-unreachable", f"gate-{number}", 15)
            assert await hub.stop() == 0
        for number in _DEAD:
            told = [one["type"] for one in site.told() if one["alert"]["subject"] == f"gate-{number}"]
            assert told == ["alert.onset", "alert.clear"]
        assert site.receiver.count == 2 * len(_DEAD)
        assert all(meter.counters.overlapping == 0 for meter in site.meters)


async def test_an_alarm_outlasts_the_outage_of_its_meter(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        site.config["units"][0] |= {"timeouts": {"reply": "200ms"}, "reconnect": "20ms", "offline_after": 2}
        site.config["alerts"]["rules"][0]["no_data"] = {"after": "3s", "action": "clear"}
        async with site.run() as hub:
            site.meters[0].set_lp(LOUD)
            onset = await site.hears("alert.onset", "loud")
            site.meters[0].set_fault("mute")
            async with hub.watch("/api/units/gate-0/live") as viewer:
                frame = await viewer.receive_json()
                while frame["feed_status"] != "unreachable":
                    frame = await viewer.receive_json()
                assert (frame["reason"], frame["lp"]) == ("mute", LOUD)
            await site.hears("alert.onset", "unit-unreachable")
            told = site.receiver.count
            await anyio.sleep(4.2)  # a tick, and more than the silence that would clear it
            assert site.receiver.count == told
            site.meters[0].set_lp(QUIET)
            site.meters[0].set_fault("none")
            await site.hears("alert.clear", "unit-unreachable")
            clear = await site.hears("alert.clear", "loud")
            assert clear.document["id"] == onset.document["id"]
            assert clear.document["alert"]["reason"] is None
            assert await hub.stop() == 0
        assert site.receiver.count == 4


async def test_a_released_meter_is_left_alone_over_a_restart_until_resumed(tmp_path: Path) -> None:
    async with open_site(tmp_path, 2) as site:
        meter = site.meters[0]
        async with site.run() as hub:
            await eventually(lambda: meter.has_session)
            with takes_less_than(5):
                monitor = await hub.ask("POST", "/api/units/gate-0/release")
                await meter.until(lambda: not meter.has_session)
            assert monitor["released"]
            await hub.ask("POST", "/api/units/gate-0/poll", 409)
            assert (await hub.get("/api/units/gate-0"))["state"] == "off"
            await hub.kill()
        asked = meter.counters.commands.copy()
        async with site.run() as hub:
            await eventually(lambda: site.meters[1].has_session)
            async with hub.watch("/api/units/gate-0/live") as viewer:  # a viewer does not take it back either
                assert (await viewer.receive_json())["feed_status"] == "off"
                await anyio.sleep(0.5)
            assert (meter.has_session, meter.counters.commands) == (False, asked)
            meter.set_lp(LOUD)
            await hub.ask("POST", "/api/units/gate-0/resume")
            await site.hears("alert.onset", "loud", "gate-0")
            assert await hub.stop() == 0
        assert site.receiver.count == 1


def _last(site: Site, number: int) -> str:
    [row] = site.rows("SELECT max(at) AS at FROM readings WHERE unit_id = ?", f"gate-{number}")
    at: str = row["at"]
    return at


def _count_since(site: Site, number: int, at: str) -> int:
    unit = f"gate-{number}"
    [row] = site.rows("SELECT count(*) AS n FROM readings WHERE unit_id = ? AND at > ?", unit, at)
    count: int = row["n"]
    return count


def _longest_pause_s(site: Site, number: int) -> float:
    asked = [one.time for one in site.meters[number].counters.log if one.line == "DOD?"]
    return max(later - earlier for earlier, later in pairwise(asked))
