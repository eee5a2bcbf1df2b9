"""Monitors, and giving a meter up, over HTTP."""

import pytest

from tests.hub.web.parts import Site

pytestmark = pytest.mark.anyio


async def test_monitors_say_what_they_do(site: Site) -> None:
    async with site.client() as client:
        first = (await client.get("/api/monitors")).json()["items"][0]
    assert first == {
        "unit_id": "gate-a",
        "running": True,
        "mode": "idle",
        "subscribers": 0,
        "keep_alive": True,
        "reachable": None,
        "released": False,
        "skipped_by_poller": 0,
    }


async def test_keep_alive_is_put(site: Site) -> None:
    async with site.client() as client:
        answer = await client.put("/api/units/gate-a/monitor", json={"keep_alive": False})
        wrong = await client.put("/api/units/gate-a/monitor", json={"keep_alive": False, "cadence": 1})
    assert (answer.status_code, answer.json()["keep_alive"], answer.json()["mode"]) == (200, False, "off")
    assert wrong.status_code == 422


async def test_release_and_resume_can_be_repeated(site: Site) -> None:
    async with site.client() as client:
        for action, released in (("release", True), ("release", True), ("resume", False), ("resume", False)):
            answer = await client.post(f"/api/units/gate-a/{action}")
            assert (answer.status_code, answer.json()["released"]) == (200, released)
