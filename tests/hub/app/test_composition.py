"""The hub's own alerts over restarts and reloads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from sqlmodel import Session

from hub.app.composition import Hub, open_hub
from hub.config.models import Config
from hub.runtime.supervisor import ChildState
from tests.elapsed import takes_less_than

pytestmark = pytest.mark.anyio


def config_in(folder: Path, *receivers: str, units: Sequence[dict[str, Any]] = ()) -> Config:
    content: dict[str, Any] = {
        "hub": {"listen": "127.0.0.1:0", "data_dir": str(folder)},
        "database": {"url": f"sqlite:///{folder}/hub.db"},
        "units": list(units),
        "alerts": {"receivers": [{"name": name, "url": "http://127.0.0.1:9/"} for name in receivers]},
    }
    return Config.model_validate(content)


async def open_rules(hub: Hub, wanted: set[str]) -> None:
    """Wait until exactly these rules have open alerts, all of them stored."""
    with anyio.fail_after(60):
        while {alert.rule for alert in hub.alerts.open_alerts()} != wanted or hub.alerts.pending:
            await anyio.sleep(0.01)


async def test_a_restart_with_a_good_file_ends_the_alert_about_a_bad_one(tmp_path: Path) -> None:
    async with open_hub(config_in(tmp_path)) as hub:
        hub.config_rejected("1 problem")
        await open_rules(hub, {"config-rejected"})
    async with open_hub(config_in(tmp_path)) as hub:
        await open_rules(hub, set())


async def test_a_rule_is_about_the_units_that_measure_its_metric_alone(tmp_path: Path) -> None:
    line = {"kind": "line", "port": 1, "pattern": "(?P<wind>[0-9.]+)", "quantities": {"wind": {"unit": "m/s"}}}
    at = {"host": "127.0.0.1", "monitor": False}
    config = config_in(tmp_path, units=[{"id": "gate", "port": 2, **at}, {"id": "mast", **line, **at}])
    rules = [{"name": "windy", "metric": "wind", "above": 9}, {"name": "loud", "metric": "lp", "above": 65}]
    alerts = config.alerts.model_validate({"rules": rules})
    async with open_hub(config.model_copy(update={"alerts": alerts})) as hub:
        found = {unit: set(hub.alerts.needs(f"unit/{unit}", 1.0).metrics) for unit in ("gate", "mast")}
    assert found == {"gate": {"lp", "reachable"}, "mast": {"wind", "reachable"}}


async def test_a_removed_receiver_is_no_longer_failing(tmp_path: Path) -> None:
    async with open_hub(config_in(tmp_path, "ops", "site")) as hub:
        hub.alerts.report("hub/receiver/site", False, "refused")
        await open_rules(hub, {"receiver-failing"})
        await hub.reload(config_in(tmp_path, "ops"))
        await open_rules(hub, set())


async def test_a_unit_that_was_given_up_is_tried_again_once_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_mended = False

    async def run_or_crash(*of: Any) -> None:
        if not is_mended:
            raise RuntimeError("a bug that its configuration brings out")
        await anyio.sleep_forever()

    monkeypatch.setattr("hub.units.fleet.run_unit", run_or_crash)
    before = config_in(tmp_path, units=[{"id": "gate", "host": "127.0.0.1", "port": 9, "offline_after": 1}])
    after = config_in(tmp_path, units=[{"id": "gate", "host": "127.0.0.1", "port": 9, "offline_after": 2}])
    async with open_hub(before) as hub:
        child = hub.feeds.children["unit/gate"]
        with anyio.fail_after(60):
            await child.ended.wait()
        assert child.state is ChildState.FAILED
        is_mended = True
        await hub.reload(after)
        assert hub.feeds.children["unit/gate"].state is ChildState.RUNNING


async def test_a_table_that_cannot_be_used_raises_an_alert_that_clears_once_it_can(tmp_path: Path) -> None:
    def rename(before: str, after: str) -> Callable[[Session], object]:
        return lambda session: session.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))

    async with open_hub(config_in(tmp_path)) as hub:
        await hub.database.write(rename("deliveries", "away"))
        await storage_alerts(hub, "deliveries")
        await hub.database.write(rename("away", "deliveries"))
        await storage_alerts(hub)


async def test_a_deleted_database_raises_an_alert_and_its_return_clears_it(tmp_path: Path) -> None:
    async with open_hub(config_in(tmp_path)) as hub:
        (tmp_path / "hub.db").rename(tmp_path / "elsewhere.db")
        with takes_less_than(10):  # noticed within 2 s
            await storage_alerts(hub, "file")
        (tmp_path / "elsewhere.db").rename(tmp_path / "hub.db")
        await storage_alerts(hub)


async def storage_alerts(hub: Hub, *wanted: str) -> None:
    """Wait until these subjects under `hub/storage/` have open alerts, or with none given until nobody has."""
    with anyio.fail_after(60):
        while True:
            found = {alert.subject.removeprefix("hub/storage/") for alert in hub.alerts.open_alerts()}
            if found >= set(wanted) if wanted else not found:
                return
            await anyio.sleep(0.05)
