"""Streaming answers are so many at once: those who read them have theirs, and others are asked to come back."""

from typing import Any

import anyio
import httpx
import pytest

from hub.web.downloads import DownloadLane, Downloads
from tests.hub.web.parts import House
from tests.virtual_time import virtual

pytestmark = pytest.mark.anyio


@virtual
async def test_who_finds_no_room_waits_for_a_moment() -> None:
    lane = DownloadLane(together=2, of_one=2)
    assert await lane.enter("a")
    assert await lane.enter("a")
    began_s = anyio.current_time()
    assert not await lane.enter("b")
    assert anyio.current_time() - began_s == 2.0
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 1.0)
        tasks.start_soon(lambda: _leave_after(lane, 1.0))
        assert await lane.enter("b")
    assert lane.refused == 1


async def _leave_after(lane: DownloadLane, seconds: float) -> None:
    await anyio.sleep(seconds)
    lane.leave("a")


@virtual
async def test_one_caller_leaves_room_for_others() -> None:
    lane = DownloadLane(together=3, of_one=2)
    assert [await lane.enter("a") for _ in range(3)] == [True, True, False]
    assert await lane.enter("b")
    for who in ("a", "a", "b"):
        lane.leave(who)
    assert lane.running == 0
    assert not lane._of


async def _send(send: Any, pieces: list[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


@virtual
async def test_a_refused_answer_is_503_and_its_application_is_cancelled() -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await _send(send, [b"a", b"b"])
        finally:
            ended.append(scope["path"])

    lane = DownloadLane(together=1)
    transport = httpx.ASGITransport(Downloads(app, lane))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        assert (await client.get("/one")).text == "ab"
        assert lane.running == 0
        assert await lane.enter("somebody")
        refused = await client.get("/two")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert ended == ["/one", "/two"]
    assert lane.running == 1


async def test_an_answer_in_one_piece_needs_no_room(house: House) -> None:
    async with house.client() as client:
        lane: DownloadLane = client._transport.app.state.download_lane  # type: ignore[attr-defined]
        lane._together = 0
        assert (await client.get("/livez")).status_code == 200
        lane._wait_s = 0.01
        assert (await client.get("/api/units/gate-a/history?format=csv")).status_code == 503
