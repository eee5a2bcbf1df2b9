"""The settings of a real connection's meter: asked for once, stored, and in every message and export."""

from pathlib import Path

import pytest

from tests.whole.running_hub import eventually
from tests.whole.site import LOUD, open_site
from tests.whole.test_onset import called

pytestmark = pytest.mark.anyio


async def test_a_meter_set_to_c_is_never_called_a_weighted_and_is_asked_once(tmp_path: Path) -> None:
    async with open_site(tmp_path, 1) as site:
        site.config["units"][0]["name"] = "Gate A"
        meter = site.meters[0]
        meter.put("Frequency Weighting (Main)", "C")
        async with site.run() as hub:
            await called(hub, "gate-0", "LCF")
            assert await hub.stop() == 0
        asked = dict(meter.counters.commands)
        async with site.run() as hub:
            unit = await hub.get("/api/units/gate-0")
            assert (unit["quantities"]["lp"], unit["quantities"]["laeq_15m"]) == ("LCF", "LCeq,15min")
            assert unit["settings"]
            meter.set_lp(LOUD)
            onset = (await site.hears("alert.onset", "loud")).document
            assert onset["alert"]["metric_label"] == "LCF"
            assert onset["summary"].startswith("gate-0 (Gate A) LCF ")
            rows = (await hub.http.get("/api/units/gate-0/history?format=csv")).text.splitlines()
            assert rows[-1].endswith(",Gate A,LCF,LCeq")
            [alert] = (await hub.get("/api/alerts"))["items"]
            assert (alert["name"], alert["metric_label"]) == ("Gate A", "LCF")
            meter.drop_session()
            await eventually(lambda: meter.counters.connections == 3)
            await eventually(lambda: meter.counters.log[-1].line == "DOD?")
            assert (await hub.get("/api/units/gate-0"))["quantities"]["lp"] == "LCF"
            assert await hub.stop() == 0
        weighting = "Frequency Weighting (Main)?"
        assert meter.counters.commands[weighting] == asked[weighting] == 1
        assert all(line.endswith("?") for line in meter.counters.commands)
