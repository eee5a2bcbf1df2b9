"""The tree of what runs; and the end of the process when a part that it cannot do without is gone."""

from pathlib import Path

import pytest

from tests.whole.running_hub import eventually
from tests.whole.site import open_site

pytestmark = pytest.mark.anyio


async def test_the_tree_shows_every_child(tmp_path: Path) -> None:
    async with open_site(tmp_path, 2) as site, site.run() as hub:
        children = {(one["group"], one["name"]): one for one in (await hub.get("/api/supervisor"))["items"]}
        assert {
            ("sinks", "recorder"),
            ("sinks", "desk"),
            ("sinks", "receiver/ops"),
            ("web", "server"),
        } <= children.keys()
        assert {name for group, name in children if group == "feeds"} >= {"unit/gate-0", "unit/gate-1", "poller"}
        assert {one["state"] for one in children.values()} == {"running"}
        assert {one["restarts"] for one in children.values()} == {0}
        assert children["sinks", "recorder"]["essential"]
        assert not children["feeds", "unit/gate-0"]["essential"]
        assert await hub.stop() == 0
