"""A second hub is refused, a dead one is no obstacle."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub.config import Config
from hub.lock import AlreadyRunning, lock_files, open_lock, open_locks


def config(folder: Path, data_dir: str, database: str) -> Config:
    data = {"hub": {"name": "site", "data_dir": data_dir}, "database": {"url": database}}
    return Config.model_validate(data, context={"folder": folder})


def test_a_second_hub_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    with (
        open_lock(tmp_path / "data" / "hub.lock", "site"),
        pytest.raises(AlreadyRunning, match=rf"another hub \(site, process {os.getpid()}\)"),
        open_lock(tmp_path / "data" / "hub.lock", "other"),
    ):
        pass
    with open_lock(tmp_path / "data" / "hub.lock", "other"):
        assert (tmp_path / "data" / "hub.lock").read_text().startswith("other, process ")


def test_the_same_sqlite_file_is_refused_from_another_data_dir(tmp_path: Path) -> None:
    one = config(tmp_path, "one", "sqlite:///hub.db?mode=rw")
    two = config(tmp_path, "two", "sqlite:///hub.db")
    assert lock_files(one) == (tmp_path / "one" / "hub.lock", tmp_path / "hub.db.lock")
    with open_locks(one), pytest.raises(AlreadyRunning), open_locks(two):
        pass
    with open_locks(two):
        pass


def test_a_server_database_has_no_file_to_lock(tmp_path: Path) -> None:
    assert lock_files(config(tmp_path, "d", "postgresql://h/db")) == (tmp_path / "d" / "hub.lock",)


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
