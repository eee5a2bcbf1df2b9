"""A second hub is refused; a lock of a dead process is free."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hub.runtime.lock import AlreadyRunning, open_lock


def test_a_second_hub_is_refused_with_the_holder_of_the_lock(tmp_path: Path) -> None:
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
from hub.runtime.lock import open_lock

lock = open_lock(Path({str(path)!r}), "dead")
lock.__enter__()
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert "dead, process" in path.read_text()
    with open_lock(path, "alive"):
        assert "dead" not in path.read_text()


def test_a_folder_that_the_hub_makes_and_its_lock_are_the_users_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with open_lock(tmp_path / "data" / "hub.lock", "site"):
            modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("data", "data/hub.lock")]
    finally:
        os.umask(before)
    assert modes == [0o700, 0o600]


def test_a_folder_that_others_can_read_is_logged_and_its_lock_made_private(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    (tmp_path / "data" / "hub.lock").touch()
    (tmp_path / "data" / "hub.lock").chmod(0o644)
    with open_lock(tmp_path / "data" / "hub.lock", "site"):
        pass
    assert "chmod 700" in "".join(capsys.readouterr())
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "data" / "hub.lock").stat().st_mode) == 0o600
