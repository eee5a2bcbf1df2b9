"""The supervision tree over HTTP."""

import anyio
import pytest

from hub.runtime.supervisor import ChildState
from tests.hub.web.parts import Site, until

pytestmark = pytest.mark.anyio


async def test_a_child_that_was_given_up_is_shown_and_can_be_started(site: Site) -> None:
    is_mended = False

    async def run() -> None:
        if not is_mended:
            raise ValueError("password is hunter2")
        await anyio.sleep_forever()

    supervisor = site.parts.supervisors[0]
    supervisor._policy = type(supervisor._policy)(crashes=1)
    child = supervisor.spawn("feed/fab", run)
    await until(lambda: child.state is ChildState.FAILED)
    is_mended = True
    async with site.client() as client:
        tree = await client.get("/api/supervisor")
        started = await client.post("/api/supervisor/feed/fab/start")
        again = await client.post("/api/supervisor/feed/fab/start")
        unknown = await client.post("/api/supervisor/nobody/start")
    (shown,) = tree.json()["items"]
    assert (shown["group"], shown["name"], shown["state"]) == ("sinks", "feed/fab", "failed")
    assert shown["last_crash"]["error"] == "ValueError"
    assert "hunter2" not in tree.text
    assert started.json()["state"] == again.json()["state"] == "running"
    assert unknown.status_code == 404
