"""From a level at the meter to a signed message, once; and what people said of it outlives the process."""

from pathlib import Path
from uuid import UUID

import anyio
import pytest

from tests.whole.running_hub import RunningHub, eventually
from tests.whole.site import LIMIT, LOUD, QUIET, open_site

pytestmark = pytest.mark.anyio


async def test_a_crossing_is_told_once_signed_and_its_end_once(tmp_path: Path) -> None:
    async with open_site(tmp_path, 2) as site:
        site.config["units"][1] |= {"labels": {"site": "dockside"}, "name": "Gate 1"}
        async with site.run() as hub:
            await called(hub, "gate-1", "LAF")
            site.meters[1].set_lp(LOUD)
            onset = await site.hears("alert.onset", "loud")
            site.meters[1].set_lp(QUIET)
            clear = await site.hears("alert.clear", "loud")
            assert await hub.stop() == 0
        assert site.receiver.count == 2
        assert site.receiver.refused == 0
        assert onset.is_signed
        assert UUID(onset.id) != UUID(clear.id)

        told, ended = onset.document, clear.document
        assert told.keys() == {
            "version", "type", "id", "sequence", "at", "persisted", "alert", "summary", "hub", "latency_ms",
        }  # fmt: skip
        assert (told["version"], told["sequence"], told["persisted"], told["hub"]) == (1, 1, True, "site")
        assert told["latency_ms"].keys() == {"sample_to_decision", "decision_to_commit"}
        alert = told["alert"]
        started_at = alert.pop("started_at")
        assert alert == {
            "id": told["id"],
            "rule": "loud",
            "subject": "gate-1",
            "name": "Gate 1",
            "labels": {"site": "dockside"},
            "severity": "warning",
            "state": "firing",
            "metric": "lp",
            "metric_label": "LAF",
            "value": LOUD,
            "threshold": LIMIT,
            "peak": LOUD,
            "cleared_at": None,
            "acknowledged_by": None,
            "reason": None,
        }
        assert told["summary"] == f"gate-1 (Gate 1) LAF {LOUD:.1f} dB > {LIMIT:.1f} dB"
        assert told["at"] == started_at
        assert started_at.endswith("Z")
        assert (ended["id"], ended["sequence"], ended["alert"]["peak"]) == (told["id"], 2, LOUD)
        assert ended["alert"]["state"] == "inactive"
        assert ended["alert"]["cleared_at"] == ended["at"] > started_at


async def test_an_acknowledged_alert_outlives_the_process_and_is_not_told_again(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        async with site.run() as hub:
            site.meters[0].set_lp(LOUD)
            alert_id = (await site.hears("alert.onset", "loud")).document["id"]
            answered = await hub.ask("POST", f"/api/alerts/{alert_id}/ack", json={"comment": "on my way"})
            assert answered["acknowledged_by"] == "local"
            await site.hears("alert.ack", "loud")
            await eventually(lambda: _all_delivered(site.rows("SELECT state FROM deliveries")))
            await hub.kill()
        async with site.run() as hub:
            before = site.rows("SELECT coalesce(max(sequence), 0) AS last FROM readings")[0]["last"]
            await eventually(lambda: site.rows("SELECT 1 FROM readings WHERE sequence > ?", before))
            [alert] = (await hub.get("/api/alerts?state=open"))["items"]
            assert (alert["id"], alert["acknowledged_by"]) == (alert_id, "local")
            story = await hub.get(f"/api/alerts/{alert_id}")
            assert [(one["type"], one["comment"]) for one in story["transitions"]] == [
                ("alert.onset", None),
                ("alert.ack", "on my way"),
            ]
            assert site.receiver.count == 2
            site.meters[0].set_lp(QUIET)
            assert (await site.hears("alert.clear", "loud")).document["id"] == alert_id
            await hub.ask("POST", f"/api/alerts/{alert_id}/ack", status=409)


async def called(hub: RunningHub, unit_id: str, symbol: str) -> None:
    """Wait until the Lp of a unit is called so."""
    with anyio.fail_after(30):
        while (await hub.get(f"/api/units/{unit_id}"))["quantities"]["lp"] != symbol:
            await anyio.sleep(0.1)


def _all_delivered(rows: list[dict[str, str]]) -> bool:
    return all(row["state"] == "delivered" for row in rows)
