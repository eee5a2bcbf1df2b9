import json

import pytest

from hub.bench import outages

pytestmark = pytest.mark.anyio


async def test_each_phase_reports_its_refreshes_and_lag_and_no_session_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for of_the_whole_process in ("configure_logs", "settle_interpreter"):
        monkeypatch.setattr(outages, of_the_whole_process, lambda *settings: None)
    found = await outages.run_outages(units=3, refreshes=10, every_s=0.1, machines=60, idle_s=0.2, warm_up_s=0.2)
    found = json.loads(json.dumps(found))
    assert (found["units"], found["rows"], found["machines"]) == (3, 64, 60)
    assert {name: phase["refreshes"] for name, phase in found["phases"].items()} == {
        "idle": {},
        "healthy": {"refreshed": 2},
        "hung": {"DEADLINE": 2},
        "refused": {"ORA-12516": 2},
        "dying_in_mid_fetch": {"DPY-4011": 2},
        "healthy_again": {"refreshed": 2},
    }
    assert all(phase["loop_lag"]["count"] > 0 for phase in found["phases"].values())
    assert found["phases"]["hung"]["readings_per_s"] > 1
    sessions = found["sessions"]
    assert (sessions["connections"], sessions["logons"]) == (10, 8)
    assert (sessions["open_at_the_end"], sessions["held_by_the_hub_at_the_end"]) == (0, 0)
    assert 1 <= sessions["open_at_most"] <= 2
