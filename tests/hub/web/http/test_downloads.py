"""Long answers are so many at once: others are asked to come back."""

import anyio
import pytest

from hub.web.http.downloads import DownloadLane
from tests.hub.web.parts import Site
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


@pytest.mark.parametrize("path", ["/api/units/gate-a/history", "/api/units/gate-a/history?format=csv"])
async def test_a_long_answer_is_503_where_there_is_no_room_and_short_ones_go_on(site: Site, path: str) -> None:
    async with site.client() as client:
        lane: DownloadLane = client._transport.app.state.download_lane  # type: ignore[attr-defined]
        assert (await client.get(path)).status_code == 200
        assert lane.running == 0
        lane._wait_s = 0.01
        for _ in range(lane._of_one):
            assert await lane.enter("caller local")
        refused = await client.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert (await client.get("/api/units")).status_code == 200
        lane.leave("caller local")
        assert (await client.get(path)).status_code == 200
