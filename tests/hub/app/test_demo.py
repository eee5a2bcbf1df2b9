from pathlib import Path

import pytest

from hub.app.demo import METERS, demo_config
from hub.config.file import load_config
from hub.simulators.receiver import open_receiver

pytestmark = pytest.mark.anyio


async def test_the_configuration_of_the_demo_is_valid_and_has_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    async with open_receiver() as receiver:
        path.write_text(demo_config(list(range(2001, 2001 + METERS)), 4001, receiver))
    loaded = load_config(path, {})
    assert loaded.warnings == ()
    assert [unit.kind for unit in loaded.config.units] == ["nl43"] * METERS + ["line"]
    assert "wind" in {rule.metric for rule in loaded.config.alerts.rules}
