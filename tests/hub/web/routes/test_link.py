"""How the connection to a meter stands, over HTTP."""

from typing import Any

import anyio
import pytest

from hub.instruments.exchange import LinkDown, Priority
from hub.nl43.commands import DOD
from hub.nl43.fields import parse_dod
from hub.nl43.link import Link
from hub.readings.snapshot import Failure
from hub.runtime.clock import Clock
from tests.hub.fake_link import meter_of
from tests.hub.nl43.scripted_meter import obey, open_scripted_meter
from tests.hub.web.parts import Site

pytestmark = pytest.mark.anyio


async def link_of(site: Site, unit: str) -> dict[str, Any]:
    async with site.client() as client:
        answer = await client.get(f"/api/units/{unit}/link")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


async def test_a_link_says_how_it_stands_and_what_went_wrong(site: Site) -> None:
    async with open_scripted_meter(lambda command: obey(command) and b"R+0000\r\n" * 2) as meter:
        link = Link("127.0.0.1", meter.port, Clock(), gap_s=0.0)
        meter_of(site.parts.units["gate-a"]).link = link
        before = await link_of(site, "gate-a")
        assert (before["connected"], before["last_error"], before["last_success_at"]) == (False, None, None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.run)
            with pytest.raises(LinkDown):
                await link.request(DOD, parse_dod, Priority.MONITOR)
            meter.script = obey
            await link.request(DOD, parse_dod, Priority.OPERATOR, patience_s=10)
            after = await link_of(site, "gate-a")
            tasks.cancel_scope.cancel()
    assert (after["connected"], after["connects"], after["retry_in_s"]) == (True, 2, 0)
    assert after["failures"] == {Failure.PROTOCOL: 1}
    assert "second result code" in after["last_error"]["detail"]
    assert after["last_error"]["at"] < after["last_success_at"]
    assert (after["bytes_sent"], after["stale_bytes"]) == (12, 16)
    assert after["bytes_received"] == 16 + 8 + 353
    assert after["connected_s"] >= 0
    assert after["latency_ms"] >= 0


async def test_the_link_of_no_unit_is_not_found(site: Site) -> None:
    async with site.client() as client:
        assert (await client.get("/api/units/nobody/link")).status_code == 404
