"""The hub's own alerts over restarts and reloads."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from hub.app import Hub, open_hub
from hub.config import Config

pytestmark = pytest.mark.anyio


def config_in(folder: Path, *receivers: str) -> Config:
    content: dict[str, Any] = {
        "hub": {"listen": "127.0.0.1:0", "data_dir": str(folder)},
        "database": {"url": f"sqlite:///{folder}/hub.db"},
        "alerts": {"receivers": [{"name": name, "url": "http://127.0.0.1:9/"} for name in receivers]},
    }
    return Config.model_validate(content)


async def open_rules(hub: Hub, wanted: set[str]) -> None:
    """Wait until exactly these rules have open alerts, all of them stored."""
    with anyio.fail_after(10):
        while {alert.rule for alert in hub.engine.open_alerts()} != wanted or hub.desk.pending:
            await anyio.sleep(0.01)


async def test_a_restart_with_a_good_file_ends_the_alert_about_a_bad_one(tmp_path: Path) -> None:
    async with open_hub(config_in(tmp_path)) as hub:
        hub.config_rejected("1 problem")
        await open_rules(hub, {"config-rejected"})
    async with open_hub(config_in(tmp_path)) as hub:
        await open_rules(hub, set())


async def test_a_removed_receiver_is_no_longer_failing(tmp_path: Path) -> None:
    async with open_hub(config_in(tmp_path, "ops", "site")) as hub:
        hub.desk.on_receiver_trouble("site", True, "refused")
        await open_rules(hub, {"receiver-failing"})
        await hub.reload(config_in(tmp_path, "ops"))
        await open_rules(hub, set())
