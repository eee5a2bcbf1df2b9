import sys

import pytest

from hub.bench.isolation import run_isolation
from hub.bench.oracle_process import SimulatorUnavailable, open_oracle_process

pytestmark = pytest.mark.anyio


async def test_lanes_keep_the_sync_free_and_one_pool_does_not() -> None:
    found = await run_isolation(scale=0.03, ids=15_000, idle_cycles=4, million_ids=4_000)
    assert {"idle", "shared", "lanes"} <= found.keys()
    for run in ("idle", "shared", "lanes"):
        wanted = {"sync_p50_s", "sync_p95_s", "sync_max_s", "missed_cycles", "bulk_total_s", "loop_lag_max_ms"}
        assert wanted | {"peak_rss_mb", "sessions_max"} <= found[run].keys()
    checks = found["checks"]
    assert checks["bulk_complete"]["ok"]
    # the median: on a busy machine a single cycle of either may be long
    assert found["lanes"]["sync_p50_s"] < found["shared"]["sync_p50_s"]
    assert found["shared"]["missed_cycles"] > 0
    assert found["lanes"]["sessions_max"] <= 6
    assert checks["million_rows_rss_above_idle_mb"]["ok"]
    assert found["million_rows"]["bulk_rows"] == 4_000 * 20
    assert found["passed"] == all(check["ok"] for check in checks.values())


async def test_without_the_package_for_the_logon_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(SimulatorUnavailable, match="pip install cryptography"):
        async with open_oracle_process():
            raise AssertionError("it started without cryptography")
