"""The live stream of one unit, over a real server."""

import json
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hub.database.lane import Lane
from hub.instruments.exchange import LinkDown
from hub.readings.snapshot import Failure
from hub.web.routes import live
from tests.hub.web.parts import TOKENS, Site, serving, until

pytestmark = pytest.mark.anyio


async def receive(websocket: ClientConnection) -> dict[str, Any]:
    with anyio.fail_after(60):
        body: dict[str, Any] = json.loads(await websocket.recv())
    return body


async def close_code(websocket: ClientConnection) -> int | None:
    with anyio.fail_after(60):
        try:
            while True:
                await websocket.recv()
        except ConnectionClosed:
            return websocket.close_code


async def test_the_first_frame_is_the_last_known_one_and_the_next_follow(site: Site) -> None:
    await site.poll(times=3)
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live") as websocket:
        first = await receive(websocket)
        await site.poll(times=2)
        later = [await receive(websocket), await receive(websocket)]
    assert first["sequence"] == 3
    assert first["age_s"] >= 0
    assert first["feed_status"] == "ok"
    assert [frame["sequence"] for frame in later] == [4, 5]
    assert later[0].keys() == first.keys()
    assert later[0]["dropped"] == 0


async def test_watching_is_demand_and_leaving_ends_it(site: Site) -> None:
    unit = site.parts.units["gate-a"]
    async with serving(site) as at:
        async with connect(f"ws://{at}/api/units/gate-a/live") as websocket:
            await receive(websocket)
            assert unit.viewers == 1
        await until(lambda: unit.viewers == 0)


async def test_going_offline_is_told_with_its_reason(site: Site) -> None:
    await site.poll()
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live") as websocket:
        await receive(websocket)
        site.links["gate-a"].failure = Failure.REFUSED
        for _ in range(3):
            with pytest.raises(LinkDown):
                await site.poll()
        frame = await receive(websocket)
        site.links["gate-a"].failure = None
        await site.poll()
        back = await receive(websocket)
    assert (frame["feed_status"], frame["reason"]) == ("unreachable", "refused")
    assert (back["feed_status"], back["sequence"]) == ("ok", 2)


async def test_release_is_told(site: Site) -> None:
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live") as websocket:
        await receive(websocket)
        await site.parts.release("gate-a", True)
        assert (await receive(websocket))["feed_status"] == "off"


async def test_an_unknown_unit_is_closed_with_4404(site: Site) -> None:
    async with serving(site) as at, connect(f"ws://{at}/api/units/nowhere/live") as websocket:
        assert await close_code(websocket) == 4404
    assert set(site.parts.units) == {"gate-a", "gate-b"}


async def test_silence_is_broken_by_heartbeats(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live") as websocket:
        await receive(websocket)
        assert await receive(websocket) == {"heartbeat": True}
        assert await receive(websocket) == {"heartbeat": True}


@pytest.mark.parametrize("committed", [True, False])
async def test_coming_back_joins_history_and_live_without_gap_or_repeat(site: Site, committed: bool) -> None:
    await site.poll(times=450)
    if committed:
        await site.committed()
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live?after=20") as websocket:
        await site.poll(times=20)
        seen = [(await receive(websocket))["sequence"] for _ in range(450)]
    assert seen == list(range(21, 471))


async def test_more_news_during_the_history_than_the_queue_holds_is_no_gap(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUEUE", 4)
    await site.poll(times=50)
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live?after=0") as websocket:
        await site.poll(times=50)
        frames = [await receive(websocket) for _ in range(100)]
    assert [frame["sequence"] for frame in frames] == list(range(1, 101))
    assert {frame["dropped"] for frame in frames} == {0}


async def test_who_has_everything_is_sent_nothing_twice(site: Site) -> None:
    await site.poll(times=3)
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live?after=3") as websocket:
        await until(lambda: site.parts.units["gate-a"].viewers == 1)
        await site.committed()
        await site.poll()
        assert (await receive(websocket))["sequence"] == 4


async def test_a_number_that_was_never_given_out_is_no_reason_to_be_silent(site: Site) -> None:
    await site.poll(times=2)
    await site.committed()
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live?after=999") as websocket:
        await until(lambda: site.parts.units["gate-a"].viewers == 1)
        await site.poll()
        assert (await receive(websocket))["sequence"] == 3


async def test_a_viewer_who_finds_no_place_among_the_queries_is_asked_to_come_again(site: Site) -> None:
    await site.poll(times=3)
    await site.committed()
    lane = site.parts.database.lane = Lane(1, 0, 5.0)
    async with lane.slot(), serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live?after=0") as websocket:
        with pytest.raises(ConnectionClosed):
            for _ in range(10):
                await websocket.recv()
        assert websocket.close_code == 1013


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30])
async def test_a_bad_after_is_closed_with_a_reason(site: Site, after: str) -> None:
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live?after={after}") as websocket:
        assert await close_code(websocket) == 1008
        assert websocket.close_reason == "after must be the sequence number of a frame"


async def test_a_slow_viewer_loses_the_oldest_counted_and_delays_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUEUE", 4)
    async with (
        serving(site) as at,
        connect(f"ws://{at}/api/units/gate-a/live") as slow,
    ):
        await receive(slow)
        unit = site.parts.units["gate-a"]
        subscription = next(iter(unit.fanout._subscriptions))
        for _ in range(40):
            await site.poll()
        assert unit.latest is not None
        frames = [await receive(slow)]
        while frames[-1]["sequence"] < unit.latest.sequence:
            frames.append(await receive(slow))
        missed = 40 - len(frames)
    assert frames[-1]["dropped"] == subscription.dropped == missed


async def test_the_line_of_the_meter_is_for_operators(guarded: Site) -> None:
    await guarded.poll()
    async with serving(guarded) as at:
        raw = []
        for token in TOKENS:
            headers = {"authorization": f"Bearer {token['token']}"}
            async with connect(f"ws://{at}/api/units/gate-a/live", additional_headers=headers) as websocket:
                raw.append((await receive(websocket))["raw_payload"] != "")
    assert raw == [False, True, True]


async def test_a_stream_that_the_hub_ends_says_so(site: Site) -> None:
    async with serving(site) as at, connect(f"ws://{at}/api/units/gate-a/live") as websocket:
        await receive(websocket)
        site.parts.units["gate-a"].fanout.close()
        assert await close_code(websocket) == 1001
