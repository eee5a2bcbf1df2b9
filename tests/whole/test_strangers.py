"""What outsiders try: units that do not exist, commands smuggled in parameters, pages of other origins."""

from pathlib import Path
from typing import Any

import pytest
from httpx_ws import AsyncWebSocketSession, WebSocketDisconnect

from tests.whole.running_hub import RunningHub, eventually
from tests.whole.site import open_site

pytestmark = pytest.mark.anyio

_SMUGGLED = "gate-0\r\nMeasure,Stop\r\n"
_TABLES = ("readings", "snapshots", "minutes", "unit_states", "alerts", "alert_states", "transitions", "deliveries")


async def test_strangers_get_nowhere_and_leave_no_trace(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, site.run() as hub:
        await eventually(lambda: site.rows("SELECT 1 FROM readings"))
        await _unknown_units_are_unknown(hub)
        await _nothing_is_smuggled(hub)
        await _other_origins_are_refused(hub)
        assert all(line.endswith("?") for line in site.meters[0].counters.commands)
        assert site.meters[0].counters.connections == 1
        await hub.get("/api/units/gate-0")
        assert not [line for line in hub.lines if "Traceback" in line]
        assert await hub.stop() == 0
        for table in _TABLES:
            text = repr([tuple(row) for row in site.rows(f"SELECT * FROM {table}")])
            assert "ghost" not in text
            assert "Measure,Stop" not in text


async def _unknown_units_are_unknown(hub: RunningHub) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/snapshot"),
        ("GET", "/history"),
        ("POST", "/poll"),
        ("POST", "/release"),
        ("POST", "/resume"),
    ):
        problem = await hub.ask(method, f"/api/units/ghost{path}", 404)
        assert problem["status"] == 404
    await hub.ask("PUT", "/api/units/ghost/monitor", 404, json={"keep_alive": True})
    assert await _closed_with(hub, "/api/units/ghost/live") == 4404
    assert {one["unit_id"] for one in (await hub.get("/api/monitors"))["items"]} == {"gate-0"}


async def _nothing_is_smuggled(hub: RunningHub) -> None:
    for method, path in (("GET", ""), ("GET", "/snapshot"), ("POST", "/poll"), ("POST", "/release")):
        answer = await hub.http.request(method, f"/api/units/{_quoted(_SMUGGLED)}{path}")
        assert answer.status_code in (404, 422)
    for parameters in (
        {"metrics": "lp\r\nMeasure,Stop"},
        {"step": "1m\r\nMeasure,Stop"},
        {"cursor": "\r\nMeasure,Stop"},
    ):
        await hub.get("/api/units/gate-0/history", 422, params=parameters)
    for parameters in ({"subject": _SMUGGLED}, {"rule": _SMUGGLED}, {"cursor": _SMUGGLED}):
        await hub.get("/api/alerts", 422, params=parameters)
    await hub.ask("PUT", "/api/units/gate-0/monitor", 422, json={"keep_alive": _SMUGGLED})
    assert await _closed_with(hub, f"/api/units/gate-0/live?after={_quoted(_SMUGGLED)}") == 1008


async def _other_origins_are_refused(hub: RunningHub) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert (await hub.get("/api/units", 403, headers=headers))["status"] == 403
        await hub.ask("POST", "/api/units/gate-0/release", 403, headers=headers)
        assert await _closed_with(hub, "/api/units/gate-0/live", headers=headers) == 4403
    assert (await hub.get("/livez", 403, headers={"Host": "evil.example"}))["status"] == 403


async def _closed_with(hub: RunningHub, path: str, **options: Any) -> int:
    async with hub.watch(path, **options) as viewer:
        return await _close_code(viewer)


async def _close_code(viewer: AsyncWebSocketSession) -> int:
    try:
        text = await viewer.receive_text(timeout=5)
    except WebSocketDisconnect as end:
        return end.code
    raise AssertionError(f"not closed, but told {text}")


def _quoted(text: str) -> str:
    return text.replace("\r", "%0D").replace("\n", "%0A")
