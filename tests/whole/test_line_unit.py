"""A weather station beside a meter: read, stored, averaged, alarmed on, exported and watched."""

import csv
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.simulators.line import PATTERN, StationFault, Weather, WeatherStation, open_station
from tests.whole.running_hub import RunningHub, eventually
from tests.whole.site import open_site, unit

pytestmark = pytest.mark.anyio

CALM = Weather(temperature=18.4, humidity=61.0, wind=3.2, direction=231)
STORM = CALM._replace(wind=12.5)
NAMES = ["temperature", "humidity", "wind", "direction"]


def station_unit(station: WeatherStation, **keys: Any) -> dict[str, Any]:
    quantities = {
        "temperature": {"unit": "°C", "decimals": 1},
        "humidity": {"unit": "%", "decimals": 0},
        "wind": {"unit": "m/s", "decimals": 1, "name": "Wind speed"},
        "direction": {"unit": "°", "decimals": 0, "mean": "none"},
    }
    line = {"id": "weather", "kind": "line", "pattern": PATTERN, "quantities": quantities}
    return {**unit(0, station.port), **line, "labels": {"site": "roof"}, **keys}


def windy(**keys: Any) -> dict[str, Any]:
    return {"name": "windy", "metric": "wind", "above": 5, "cooldown": "0s", "notify": ["ops"], **keys}


async def read(hub: RunningHub, after: int = 0, within_s: float = 10.0) -> dict[str, Any]:
    """The unit's snapshot, once there is a fresh one with a higher sequence."""
    with anyio.fail_after(within_s):
        while True:
            snapshot: dict[str, Any] = await hub.get("/api/units/weather/snapshot")
            if (snapshot["sequence"] or 0) > after and snapshot["feed_status"] == "ok":
                return snapshot
            await anyio.sleep(0.02)


async def stored(hub: RunningHub, value: float) -> list[dict[str, Any]]:
    """The unit's history, once it holds this wind."""
    with anyio.fail_after(10):
        while True:
            items: list[dict[str, Any]] = (await hub.get("/api/units/weather/history?limit=1000"))["items"]
            if value in {item["wind"] for item in items}:
                return items
            await anyio.sleep(0.05)


def export(config: Path, units: str) -> list[dict[str, str]]:
    """The rows of `hub export`."""
    days = ["--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"]
    result = CliRunner().invoke(app, ["export", *days, "--units", units, "--config", str(config)])
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(result.stdout.splitlines()))


@pytest.mark.parametrize("push_s", [None, 0.1])
async def test_a_station_is_read_alarmed_on_stored_and_exported_beside_a_meter(
    tmp_path: Path, push_s: float | None
) -> None:
    async with open_station(push_s) as station, open_site(tmp_path, 1) as site:
        station.weather = lambda time: CALM
        asked = {"ask": "?\r\n"} if push_s is None else {}
        site.config["units"].append(station_unit(station, **asked))
        site.config["alerts"]["rules"].append(windy())
        async with site.run() as hub:
            frame = await read(hub)
            assert frame["quantities"] == {"temperature": 18.4, "humidity": 61.0, "wind": 3.2, "direction": 231.0}
            assert frame["quality"] == []
            assert not {"lp", "leq", "lmax"} & frame.keys()
            meter = await hub.get("/api/units/gate-0/snapshot")
            assert "quantities" not in meter
            assert "lp" in meter

            station.weather = lambda time: STORM
            onset = (await site.hears("alert.onset", "windy")).document
            assert onset["summary"] == "weather Wind speed 12.5 m/s > 5.0 m/s"
            assert onset["alert"]["metric"] == "wind"
            station.weather = lambda time: CALM
            await site.hears("alert.clear", "windy")

            history = await stored(hub, 12.5)
            assert history[0]["wind"] == 3.2
            assert not {"lp", "leq"} & history[0].keys()
            sequences = [item["sequence"] for item in history]
            assert sequences == sorted(set(sequences))

            async with hub.watch("/api/units/weather/live") as viewer:
                live = await viewer.receive_json()
                assert live["quantities"]["temperature"] == 18.4

            rows = list(
                csv.DictReader((await hub.http.get("/api/units/weather/history?format=csv")).text.splitlines())
            )
            assert set(NAMES) <= rows[0].keys()
            assert "lp" not in rows[0]
            assert rows[0]["temperature"] == "18.4"
            steps = (await hub.get("/api/units/weather/history?step=10s"))["items"]
            assert {step["temperature_mean"] for step in steps if step["temperature_mean"] is not None} == {18.4}
            assert max(step["wind_max"] or 0.0 for step in steps) == 12.5
            assert {step["direction_last"] for step in steps} <= {231.0, None}
            assert await hub.stop() == 0
        exported = await anyio.to_thread.run_sync(partial(export, site.path, "weather"))
        assert {float(row["wind"]) for row in exported} >= {3.2, 12.5}
        both = await anyio.to_thread.run_sync(partial(export, site.path, "*"))
        assert {row["unit_id"] for row in both} == {"gate-0", "weather"}
        assert station.connections == 1


async def test_faults_of_a_station_are_states_and_invent_no_reading(tmp_path: Path) -> None:
    async with open_station() as station, open_site(tmp_path, 0) as site:
        station.weather = lambda time: CALM
        timeouts = {"reply": "200ms"}
        site.config["units"] = [station_unit(station, ask="?\r\n", timeouts=timeouts, offline_after=2)]
        site.config["alerts"]["rules"] = [
            {"name": "gone", "metric": "reachable", "equals": False, "notify": ["ops"]}
        ]
        async with site.run() as hub:
            await read(hub)
            for fault, reason in (
                (StationFault.GARBAGE, "protocol"),
                (StationFault.HALF_LINES, "protocol"),
                (StationFault.MUTE, "mute"),
                (StationFault.REFUSE, "refused"),
            ):
                station.set_fault(fault)
                with anyio.fail_after(20):
                    while (await hub.get("/api/units/weather/snapshot")).get("reason") != reason:
                        await anyio.sleep(0.05)
                station.set_fault(StationFault.NONE)
                await read(hub, within_s=20.0)
            await site.hears("alert.onset", "gone")
            link = await hub.get("/api/units/weather/link")
            assert {"protocol", "mute", "refused"} <= link["failures"].keys()
            history = (await hub.get("/api/units/weather/history?limit=1000"))["items"]
            assert {(item["temperature"], item["wind"]) for item in history} == {(18.4, 3.2)}
            assert await hub.stop() == 0


async def test_a_station_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    async with open_station() as station, open_site(tmp_path, 0) as site:
        station.weather = lambda time: CALM
        site.config["units"] = [station_unit(station, ask="?\r\n")]
        site.config["alerts"]["rules"] = []
        async with site.run() as hub:
            before = (await read(hub))["sequence"]
            await eventually(lambda: len(site.rows("SELECT * FROM readings")) > 2)
            assert await hub.stop() == 0
        station.set_fault(StationFault.MUTE)
        async with site.run() as hub:
            kept = await hub.get("/api/units/weather/snapshot")
            assert kept["sequence"] >= before
            assert kept["quantities"]["wind"] == 3.2
            station.set_fault(StationFault.NONE)
            await read(hub, after=kept["sequence"])
            assert await hub.stop() == 0
