"""The tree of what runs; and the end of the process when a part that it cannot do without is gone."""

from pathlib import Path

import pytest

from tests.whole.running_hub import eventually
from tests.whole.site import open_site

pytestmark = pytest.mark.anyio

_BREAK_RECORDER = """
from hub.store.recorder import Recorder
async def run(self):
    raise RuntimeError("broken on purpose")
Recorder.run = run
"""
_BREAK_RETENTION = """
from pathlib import Path
from hub.store.retention import Retention
whole = Retention.run
async def run(self):
    if not Path("mended").exists():
        raise RuntimeError("broken on purpose")
    await whole(self)
Retention.run = run
"""


async def test_the_tree_shows_every_child(tmp_path: Path) -> None:
    async with open_site(tmp_path, 2) as site, site.run() as hub:
        children = {(one["group"], one["name"]): one for one in (await hub.get("/api/supervisor"))["items"]}
        assert {
            ("sinks", "recorder"),
            ("sinks", "alerts"),
            ("sinks", "receiver/ops"),
            ("web", "server"),
        } <= children.keys()
        assert {name for group, name in children if group == "feeds"} >= {"unit/gate-0", "unit/gate-1", "poller"}
        assert {one["state"] for one in children.values()} == {"running"}
        assert {one["restarts"] for one in children.values()} == {0}
        assert children["sinks", "recorder"]["essential"]
        assert not children["feeds", "unit/gate-0"]["essential"]
        assert await hub.stop() == 0


async def test_an_essential_child_that_is_given_up_ends_the_process(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, site.start(_BREAK_RECORDER) as hub:
        assert await hub.ended(30) == 1
        last = "\n".join(await eventually(lambda: [line for line in hub.lines if "cannot go on" in line]))
        assert "recorder crashed 5 times" in last
        assert sum('"child crashed"' in line for line in hub.lines) == 5
        assert not site.meters[0].has_session


async def test_another_child_that_is_given_up_is_told_and_can_be_started_again(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site, site.run(_BREAK_RETENTION) as hub:
        onset = await site.hears("alert.onset", "child-failed", within_s=20)
        assert "retention" in onset.document["summary"]
        health = await hub.get("/healthz")
        assert (health["status"], health["checks"]["children"]["failed"]) == ("degraded", 1)
        [failed] = [one for one in (await hub.get("/api/supervisor"))["items"] if one["state"] == "failed"]
        assert (failed["name"], failed["last_crash"]["error"]) == ("retention", "RuntimeError")
        (tmp_path / "mended").touch()
        assert (await hub.ask("POST", "/api/supervisor/retention/start"))["state"] == "running"
        cleared = await site.hears("alert.clear", "child-failed")
        assert cleared.document["id"] == onset.document["id"]
        assert (await hub.get("/healthz"))["status"] == "ok"
        assert await hub.stop() == 0
