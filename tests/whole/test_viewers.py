"""Viewers over the end of a process: back with `after`, they get what they missed, once and in order."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from httpx_ws import AsyncWebSocketSession

from tests.whole.running_hub import RunningHub, eventually
from tests.whole.site import Site, open_site

pytestmark = pytest.mark.anyio

_SEQUENCES_PER_BOOT = 1 << 32


async def test_a_viewer_who_comes_back_misses_nothing_that_was_stored(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        async with site.run() as hub:
            async with hub.watch("/api/units/gate-0/live") as viewer:
                seen = await _frames(viewer, 3)
            await eventually(lambda: len(_stored_after(site, seen[-1])) >= 5)
            seen += await _come_back(hub, seen[-1], 8)
            await hub.kill()
        async with site.run() as hub:
            seen += await _come_back(hub, seen[-1], 8)
            assert (await hub.get("/api/units/gate-0"))["snapshot"]["sequence"] >= seen[-1]
            assert await hub.stop() == 0
        assert all(later > earlier for earlier, later in pairwise(seen))
        stored = [row["sequence"] for row in site.rows("SELECT sequence FROM readings ORDER BY sequence")]
        span = [sequence for sequence in stored if seen[0] <= sequence <= seen[-1]]
        unstored = set(seen) - set(span)  # shown in the last second before the kill
        assert len(unstored) <= 12
        assert span == [sequence for sequence in seen if sequence not in unstored]
        assert {sequence // _SEQUENCES_PER_BOOT for sequence in seen} == {1, 2}


async def test_a_token_that_leaves_the_file_opens_nothing_any_more(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        tokens = {role: f"a-long-enough-{role}-token" for role in ("viewer", "operator")}
        site.config["hub"]["tokens"] = [
            {"name": role, "token": token, "role": role} for role, token in tokens.items()
        ]
        async with site.start() as hub:
            await hub.ready()
            await hub.get("/api/units", 401)
            viewer, operator = ({"Authorization": f"Bearer {token}"} for token in tokens.values())
            await hub.get("/api/units", headers=viewer)
            await hub.ask("POST", "/api/units/gate-0/poll", 403, headers=viewer)
            await hub.ask("POST", "/api/units/gate-0/poll", headers=operator)
            del site.config["hub"]["tokens"][1]
            site.write()
            await eventually(lambda: any("configuration applied" in line for line in hub.lines))
            await hub.get("/api/units", 401, headers=operator)
            await hub.get("/api/units", headers=viewer)
            assert site.meters[0].counters.connections == 1
            assert not [line for line in hub.lines if "long-enough" in line]
            assert await hub.stop() == 0


async def _come_back(hub: RunningHub, after: int, count: int) -> list[int]:
    async with hub.watch(f"/api/units/gate-0/live?after={after}") as viewer:
        return await _frames(viewer, count)


async def _frames(viewer: AsyncWebSocketSession, count: int) -> list[int]:
    """The sequence numbers of the next frames with a reading."""
    found: list[int] = []
    while len(found) < count:
        frame: dict[str, Any] = json.loads(await viewer.receive_text(timeout=5))
        if frame["sequence"] is not None:
            found.append(frame["sequence"])
    return found


def _stored_after(site: Site, sequence: int) -> list[Any]:
    return site.rows("SELECT 1 FROM readings WHERE sequence > ?", sequence)
