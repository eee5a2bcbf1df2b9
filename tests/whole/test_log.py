"""The log of a hub that logs JSON: every line of it is, from the start to a stop that cannot wait."""

import json
from pathlib import Path

import anyio
import httpx
import pytest

from tests.whole.running_hub import RunningHub
from tests.whole.site import open_site

pytestmark = pytest.mark.anyio


async def test_every_line_of_a_json_log_is_json_to_the_end(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, site.run() as hub:
        site.meters[0].set_fault("mute")
        async with await anyio.connect_tcp("127.0.0.1", site.port) as stranger:
            await stranger.send(b"\x16\x03\x01 is no request\r\n\r\n")
            await stranger.receive()
        async with anyio.create_task_group() as tasks, hub.watch("/api/live"):
            tasks.start_soon(_poll_in_vain, hub)
            await anyio.sleep(0.2)
            assert await hub.stop(10) in (0, 1)
            tasks.cancel_scope.cancel()
    told = [json.loads(line) for line in hub.lines]
    assert told[0]["event"] == "started"
    assert told[0]["url"] == f"http://127.0.0.1:{site.port}"
    assert not [one for one in told if "Invalid HTTP" in one["event"]]


async def _poll_in_vain(hub: RunningHub) -> None:
    try:
        await hub.http.post("/api/units/gate-0/poll")
    except httpx.TransportError:
        pass  # the hub has ended meanwhile
