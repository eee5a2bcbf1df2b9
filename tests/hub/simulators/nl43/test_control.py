"""The control port answers one JSON object per line."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from hub.nl43 import commands as c
from hub.simulators.nl43.fleet import FleetOptions, open_fleet
from tests.hub.simulators.nl43.client import Client, connect_outcome, connected

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def fleet_of(units: int) -> AsyncIterator[tuple[list[int], Client]]:
    async with open_fleet(FleetOptions(units, control_port=0)) as fleet:
        assert fleet.control_port is not None
        async with connected(fleet.control_port) as control:
            yield fleet.ports, control


async def tell(control: Client, **request: Any) -> dict[str, Any]:
    await control.stream.send(json.dumps(request).encode() + b"\n")
    received = b""
    with anyio.fail_after(60):
        while not received.endswith(b"\n"):
            received += await control.stream.receive()
    answer: dict[str, Any] = json.loads(received)
    return answer


async def lp_of(port: int) -> str:
    async with connected(port) as client:
        return ((await client.ask(c.DOD)).line or "").split(",")[0]


async def test_levels_are_set_for_one_some_or_all() -> None:
    async with fleet_of(4) as (ports, control):
        assert await tell(control, set={"lp": 70.0}) == {"ok": True}
        assert await tell(control, unit=1, set={"lp": 81.0}) == {"ok": True}
        assert await tell(control, unit=[2, 3], set={"lp": 92}) == {"ok": True}
        assert [await lp_of(port) for port in ports] == [" 70.0", " 81.0", " 92.0", " 92.0"]


async def test_flags_items_and_commands_are_set_from_outside() -> None:
    async with fleet_of(1) as (ports, control):
        await tell(control, set={"over": True, "items": {"Battery Level": "Low"}})
        assert await tell(control, do="Measure,Stop") == {"ok": True, "codes": [0]}
        async with connected(ports[0]) as client:
            assert (await client.ask(c.BATTERY_LEVEL)).line == "Low"
            assert ((await client.ask(c.DOD)).line or "").split(",")[14] == "1"
            assert (await client.ask(c.MEASURE)).line == "Stop"


async def test_crossings_record_when_the_level_was_sent() -> None:
    async with fleet_of(3) as (ports, control):
        await tell(control, unit=[0, 2], cross=90.0)
        await lp_of(ports[2])
        crossings = (await tell(control, get="crossings"))["crossings"]
        assert [(crossing["unit"], crossing["lp"]) for crossing in crossings] == [(0, 90.0), (2, 90.0)]
        assert crossings[0]["sent_at"] is None
        assert crossings[1]["sent_at"] >= crossings[1]["asked_at"]


async def test_counters_are_given_apart_and_summed() -> None:
    async with fleet_of(3) as (ports, control):
        await lp_of(ports[0])
        async with connected(ports[1]) as client:
            await client.ask(c.MEASURE)
            counters = (await tell(control, get="counters", unit=[0, 1]))["counters"]
        assert counters["0"]["commands"] == {"DOD?": 1}
        assert counters["1"]["least_gap_s"] is None
        totals = (await tell(control, get="totals"))["totals"]
        assert (totals["connections"], totals["commands"]) == (2, {"DOD?": 1, "Measure?": 1})


async def test_faults_and_drops_come_from_outside() -> None:
    async with fleet_of(2) as (ports, control):
        async with connected(ports[1]) as client:
            await client.ask(c.MEASURE)
            assert await tell(control, unit=1, drop=True) == {"ok": True}
            assert await client.has_ended()
        assert await tell(control, unit=0, fault="refuse") == {"ok": True}
        assert await connect_outcome(ports[0]) == "refused"
        units = (await tell(control, get="units"))["units"]
        assert units[0] == {"unit": 0, "port": ports[0], "fault": "refuse", "connected": False}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"unit": 9, "set": {"lp": 1.0}}, "unit is a number from 0 to 1"),
        ({"unit": True, "set": {"lp": 1.0}}, "unit is a number"),
        ({"set": {"lp": "loud"}}, "a level is a number of dB"),
        ({"set": {"lpp": 1.0}}, "'set' needs an object with"),
        ({"set": {"items": {"Colour": "red"}}}, "no item 'Colour'"),
        ({"set": {"items": 1}}, "items"),
        ({"set": {"over": "yes"}}, "true, false or null"),
        ({"fault": "mut"}, "is not a fault"),
        ({"fault": "late", "times": "x"}, "times"),
        ({"get": "weather"}, "cannot be got"),
        ({}, "exactly one of"),
        ({"set": {}, "cross": 1}, "exactly one of"),
    ],
)
async def test_a_request_that_cannot_be_done_says_why(request_: dict[str, Any], message: str) -> None:
    async with fleet_of(2) as (_, control):
        assert message in (await tell(control, **request_))["error"]
        assert (await tell(control, get="units"))["units"][0]["fault"] == "none"


async def test_a_line_that_is_no_json_does_not_end_the_conversation() -> None:
    async with fleet_of(1) as (_, control):
        await control.stream.send(b"hello\n")
        assert b"not JSON" in await control.stream.receive()
        await control.stream.send(b"[1]\n")
        assert b"one JSON object per line" in await control.stream.receive()
        assert await tell(control, set={"lp": 60.0}) == {"ok": True}
