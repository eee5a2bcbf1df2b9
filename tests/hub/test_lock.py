"""A second hub is refused, a dead one is no obstacle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub.lock import AlreadyRunning, open_lock


def test_a_second_hub_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    with (
        open_lock(tmp_path / "data" / "hub.lock", "site"),
        pytest.raises(AlreadyRunning, match=rf"another hub \(site, process {os.getpid()}\)"),
        open_lock(tmp_path / "data" / "hub.lock", "other"),
    ):
        pass
    with open_lock(tmp_path / "data" / "hub.lock", "other"):
        assert (tmp_path / "data" / "hub.lock").read_text().startswith("other, process ")


def test_what_a_dead_process_left_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "hub.lock"
    script = f"""
import os
from pathlib import Path
from hub.lock import open_lock

lock = open_lock(Path({str(path)!r}), "dead")
lock.__enter__()
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert "dead, process" in path.read_text()
    with open_lock(path, "alive"):
        assert "dead" not in path.read_text()
