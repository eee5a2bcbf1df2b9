"""Storage that fails for a while: alerts are told from memory in time, and written later under the same ids."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.whole.running_hub import RunningHub, eventually
from tests.whole.site import LOUD, QUIET, Site, is_about, open_site

pytestmark = pytest.mark.anyio

_TOLD_WITHIN_S = 3.5  # commits have to have failed for 2 s
_LOG_TO_FILE = """
import os
file = os.open("hub.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
os.dup2(file, 1)
os.dup2(file, 2)
"""


@contextmanager
def _locked(site: Site, hub: RunningHub) -> Iterator[None]:
    """Another program holds the database."""
    with closing(sqlite3.connect(site.database, isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def _full(site: Site, hub: RunningHub) -> Iterator[None]:
    """No file of the hub may grow, its log neither: what a full disk does to it."""
    limits = resource.prlimit(hub.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(hub.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    yield
    resource.prlimit(hub.pid, resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("trouble", [_locked, _full])
async def test_alerts_are_told_in_time_while_nothing_can_be_stored(tmp_path: Path, trouble: Any) -> None:
    async with open_site(tmp_path, 3) as site, site.run(_LOG_TO_FILE) as hub:
        await eventually(lambda: site.rows("SELECT 1 FROM readings"))
        with trouble(site, hub):
            began = anyio.current_time()
            site.meters[0].set_lp(LOUD)
            onset = await site.hears("alert.onset", "loud", "gate-0", _TOLD_WITHIN_S)
            assert anyio.current_time() - began < _TOLD_WITHIN_S
            failing = await site.hears("alert.onset", "storage-failing")
            site.meters[0].set_lp(QUIET)
            clear = await site.hears("alert.clear", "loud", "gate-0")
            site.meters[1].set_lp(LOUD)
            second = await site.hears("alert.onset", "loud", "gate-1", 1.0)
            assert not [one.document for one in (onset, failing, clear, second) if one.document["persisted"]]
            assert (await hub.get("/healthz", 503))["status"] == "down"
            units = (await hub.get("/api/units"))["items"]
            assert {one["state"] for one in units} == {"ok"}
            await anyio.sleep(1)
            assert {one["reachable"] for one in (await hub.get("/api/monitors"))["items"]} == {True}
            told_before = site.receiver.count
        back = await site.hears("alert.clear", "storage-failing")
        assert back.document["id"] == failing.document["id"]
        assert len(site.told(lambda document: is_about(document, "alert.onset", "storage-failing"))) == 1
        await hub.ready()
        site.meters[1].set_lp(QUIET)
        after = await site.hears("alert.clear", "loud", "gate-1")
        assert after.document["persisted"]
        await eventually(lambda: not site.rows("SELECT 1 FROM deliveries WHERE state <> 'delivered'"))
        assert site.receiver.count == told_before + 2
        assert {one["restarts"] for one in (await hub.get("/api/supervisor"))["items"]} == {0}
        assert await hub.stop() == 0

        assert "storing readings again" in (tmp_path / "hub.log").read_text()
        stored = {row["id"]: row["body"].encode() for row in site.rows("SELECT id, body FROM deliveries")}
        assert stored == {received.id: received.body for received in site.receiver.received}
        transitions = site.rows("SELECT alert_id, sequence, persisted FROM transitions")
        told = {(one["id"], one["sequence"]): one["persisted"] for one in site.told()}
        assert {(row["alert_id"], row["sequence"]): bool(row["persisted"]) for row in transitions} == told
        for number, meter in enumerate(site.meters):
            [row] = site.rows("SELECT count(*) AS n FROM readings WHERE unit_id = ?", f"gate-{number}")
            assert 0 <= meter.counters.commands["DOD?"] - row["n"] <= 1
