"""The live stream of many units, over a real server."""

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from hub.instruments.exchange import LinkDown
from hub.readings.snapshot import Failure
from hub.units.unit import Unit
from hub.web.routes import fleet
from tests.hub.fake_link import FakeLink, linked
from tests.hub.web.parts import TOKENS, Site, serving, until
from tests.hub.web.routes.test_live import receive

pytestmark = pytest.mark.anyio

VIEWER, OPERATOR = ({"Authorization": f"Bearer {TOKENS[n]['token']}"} for n in (0, 1))


async def test_the_first_message_has_all_and_the_next_only_what_changed(site: Site) -> None:
    await site.poll("gate-a", 3)
    async with serving(site) as at, connect(f"ws://{at}/api/live") as websocket:
        first = await receive(websocket)
        await site.poll("gate-b")
        second = await receive(websocket)
    assert set(first) == {"t", "unit_id", "name", "sequence", "lp", "leq", "age_s", "feed_status", "alarm"}
    assert first["unit_id"] == ["gate-a", "gate-b"]
    assert first["sequence"] == [3, None]
    assert first["t"].endswith("Z")
    assert second["unit_id"] == ["gate-b"]
    assert second["sequence"] == [1]
    assert {len(column) for name, column in second.items() if name != "t"} == {1}


async def test_a_glob_chooses_the_units(site: Site) -> None:
    async with serving(site) as at:
        async with connect(f"ws://{at}/api/live?units=*-b") as websocket:
            assert (await receive(websocket))["unit_id"] == ["gate-b"]
        async with connect(f"ws://{at}/api/live?units=nothing*") as websocket:
            assert (await receive(websocket))["unit_id"] == []


async def test_losing_a_meter_is_a_change(site: Site) -> None:
    await site.poll("gate-a")
    async with serving(site) as at, connect(f"ws://{at}/api/live") as websocket:
        await receive(websocket)
        site.links["gate-a"].failure = Failure.TIMEOUT
        for _ in range(3):
            with pytest.raises(LinkDown):
                await site.poll("gate-a")
        message = await receive(websocket)
    assert (message["unit_id"], message["feed_status"]) == (["gate-a"], ["unreachable"])


async def test_an_alert_shows_as_its_severity(site: Site) -> None:
    async with serving(site) as at, connect(f"ws://{at}/api/live") as websocket:
        assert (await receive(websocket))["alarm"] == [None, None]
        site.sample(80.0, "gate-b")
        message = await receive(websocket)
        site.sample(40.0, "gate-b")
        after = await receive(websocket)
    assert (message["unit_id"], message["alarm"]) == (["gate-b"], ["critical"])
    assert (after["unit_id"], after["alarm"]) == (["gate-b"], [None])


async def test_silence_is_broken_by_heartbeats(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "HEARTBEAT_S", 0.05)
    async with serving(site) as at, connect(f"ws://{at}/api/live") as websocket:
        await receive(websocket)
        assert await receive(websocket) == {"heartbeat": True}


async def test_many_readings_between_two_ticks_are_one_row(site: Site) -> None:
    async with serving(site) as at, connect(f"ws://{at}/api/live") as websocket:
        await receive(websocket)
        await site.poll("gate-a", 50)
        seen: list[int] = []
        with anyio.fail_after(60):
            while not seen or seen[-1] != 50:
                seen += (await receive(websocket))["sequence"]
    assert len(seen) < 5


async def test_a_look_at_the_fleet_asks_nothing_of_the_meters(site: Site) -> None:
    units = site.parts.units
    units["gate-a"].keep_alive = False
    async with serving(site) as at, connect(f"ws://{at}/api/live") as websocket:
        await receive(websocket)
        assert [(unit.viewers, unit.mode) for unit in units.values()] == [(0, "off"), (0, "idle")]


async def test_an_operator_may_have_polled_what_matches(guarded: Site) -> None:
    units = guarded.parts.units
    async with serving(guarded) as at:
        async with connect(f"ws://{at}/api/live?units=gate-a&watch=true", additional_headers=OPERATOR) as websocket:
            await receive(websocket)
            assert (units["gate-a"].viewers, units["gate-a"].mode, units["gate-b"].viewers) == (1, "watched", 0)
        await until(lambda: units["gate-a"].viewers == 0)


async def test_a_viewer_may_not_have_the_fleet_polled(guarded: Site) -> None:
    async with serving(guarded) as at:
        async with connect(f"ws://{at}/api/live?watch=true", additional_headers=VIEWER) as websocket:
            with pytest.raises(ConnectionClosed) as closed:
                await receive(websocket)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, "watch=true" in closed.value.rcvd.reason) == (4403, True)
        async with connect(f"ws://{at}/api/live?watch=false", additional_headers=VIEWER) as websocket:
            assert (await receive(websocket))["unit_id"] == ["gate-a", "gate-b"]
    assert {unit.viewers for unit in guarded.parts.units.values()} == {0}


async def test_a_unit_that_changed_is_watched_as_the_one_before(site: Site) -> None:
    before = site.parts.units["gate-a"]
    async with serving(site) as at, connect(f"ws://{at}/api/live?watch=true") as websocket:
        await receive(websocket)
        link = FakeLink(site.parts.clock, latency_s=0.0)
        connect_to = linked(before.config, link, site.parts.clock)
        after = site.parts.units["gate-a"] = Unit(before.config, site.parts.clock, lambda event: None, connect_to)
        await until(lambda: after.viewers == 1)
        assert before.viewers == 0
