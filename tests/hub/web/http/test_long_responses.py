"""A long response is 503 with Retry-After while its caller holds all its slots."""

import pytest

from hub.web.http.slots import CallerSlots
from tests.hub.web.parts import Site

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/api/units/gate-a/history", "/api/units/gate-a/history?format=csv"])
async def test_a_long_response_is_503_without_a_free_slot_and_short_ones_go_on(site: Site, path: str) -> None:
    async with site.client() as client:
        slots: CallerSlots = client._transport.app.state.long_response_slots  # type: ignore[attr-defined]
        assert (await client.get(path)).status_code == 200
        assert slots.running == 0
        slots._wait_s = 0.01
        for _ in range(slots._per_caller):
            assert await slots.acquire("caller local")
        refused = await client.get(path)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert (await client.get("/api/units")).status_code == 200
        slots.release("caller local")
        assert (await client.get(path)).status_code == 200
