"""A hub that is stopped for a while blames nobody else for the silence."""

import signal
from pathlib import Path

import anyio
import pytest

from tests.whole.site import open_site

pytestmark = pytest.mark.anyio

AFTER_S, STILL_S = 6, 10


async def test_a_hub_that_was_stopped_raises_no_alarm_about_its_meters(tmp_path: Path) -> None:
    async with open_site(tmp_path, 4) as site:
        site.config["alerts"]["rules"].append(
            {
                "name": "silent",
                "metric": "lp",
                "above": 120,
                "no_data": {"after": f"{AFTER_S}s", "action": "alarm"},
                "notify": ["ops"],
            }
        )
        for unit in site.config["units"]:
            unit["offline_after"] = 2
        async with site.run() as hub:
            await anyio.sleep(3)
            hub.send(signal.SIGSTOP)
            await anyio.sleep(STILL_S)
            hub.send(signal.SIGCONT)
            await anyio.sleep(AFTER_S / 2)
            assert (await hub.get("/api/alerts"))["items"] == []
            assert any("stood still" in line for line in hub.lines)
            assert await hub.stop() == 0
        assert site.receiver.count == 0
