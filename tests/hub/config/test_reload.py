"""Changes of a file are noticed, and compared with the former configuration."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from hub.config import reload
from hub.config.file import load_config
from hub.config.models import Config
from hub.config.reload import Changes, changes_between, watch_files
from tests.elapsed import takes_less_than

A, B = {"id": "a", "host": "h", "port": 1}, {"id": "b", "host": "h", "port": 2}
FEED = {"id": "f", "kind": "sample-equipment"}


def config(**sections: Any) -> Config:
    return Config.model_validate(sections)


def test_the_same_file_changes_nothing() -> None:
    changes = changes_between(config(units=[A, B]), config(units=[B, A]))
    assert changes == Changes()
    assert not changes


def test_only_the_units_and_feeds_that_changed_are_named() -> None:
    changes = changes_between(
        config(units=[A, B], feeds=[FEED]),
        config(units=[B | {"port": 3}, {"id": "c", "host": "h"}], feeds=[FEED | {"seed": 2}]),
    )
    assert [unit.id for unit in changes.units_added] == ["c"]
    assert [unit.id for unit in changes.units_removed] == ["a"]
    assert [unit.port for unit in changes.units_changed] == [3]
    assert [feed.id for feed in changes.feeds_changed] == ["f"]
    assert changes.restart_needed == ()


def test_changes_of_rules_receivers_tokens_and_the_rest_are_distinguished() -> None:
    rule = {"name": "r", "metric": "lp", "above": 65}
    token = {"name": "t", "token": "x" * 16, "role": "viewer"}
    changes = changes_between(
        config(),
        config(
            alerts={
                "rules": [rule],
                "receivers": [{"name": "o", "url": "http://h"}],
                "system": {"severity": "info"},
            },
            hub={
                "listen": "127.0.0.1:1",
                "tokens": [token],
                "trusted_proxies": ["::1"],
                "public_url": "https://hub",
            },
            database={"url": "sqlite:///other.db", "retention": {"readings": "1d"}},
            redis={"url": "redis://h"},
        ),
    )
    assert changes.rules_changed
    assert changes.receivers_changed
    assert changes.system_changed
    assert changes.tokens_changed
    assert changes.restart_needed == ("hub.listen", "database.url", "database.retention", "redis")


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["written", "replaced", "included", "linked", "same times"])
async def test_a_change_is_noticed(tmp_path: Path, how: str) -> None:
    file, units = tmp_path / "config.yaml", tmp_path / "units"
    units.mkdir()
    (tmp_path / "v1").write_text("a")
    (tmp_path / "v2").write_text("ab")
    if how == "linked":
        file.symlink_to("v1")
    else:
        file.write_text("a")
    noticed = 0
    with takes_less_than(5):  # a look each second, and 0.3 s for a file that may still be written
        async with anyio.create_task_group() as group:

            async def change() -> None:
                while not noticed:  # until the watch is known to stand, by its effect
                    match how:
                        case "written":
                            file.write_text(file.read_text() + "b")
                        case "same times":  # as `cp -p` and `touch -r` leave them
                            status = file.stat()
                            file.write_text("b")
                            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
                        case "replaced":
                            (tmp_path / "new").write_text(file.read_text() + "b")
                            (tmp_path / "new").replace(file)
                        case "linked":
                            (tmp_path / "link").symlink_to("v1" if file.readlink().name == "v2" else "v2")
                            (tmp_path / "link").replace(file)
                        case "included":
                            (units / "new.yaml").write_text("[]")
                    await anyio.sleep(1)

            group.start_soon(change)
            async for _ in watch_files([file, units / "*.yaml"], anyio.Event()):
                noticed += 1
                break
    assert noticed == 1


@pytest.mark.anyio
async def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a")
    stop = anyio.Event()
    seen: list[str] = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:

            async def write_slowly() -> None:
                await anyio.sleep(0.3)
                with file.open("w") as being_written:
                    for _ in range(8):
                        being_written.write("b")
                        being_written.flush()
                        await anyio.sleep(0.1)

            group.start_soon(write_slowly)
            async for _ in watch_files([file], stop):
                seen.append(file.read_text())
                stop.set()
    assert seen == ["b" * 8]


@pytest.mark.anyio
async def test_other_files_in_the_folder_are_no_change(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a")
    with anyio.move_on_after(0.5) as scope:
        async with anyio.create_task_group() as group:

            async def noise() -> None:
                for n in range(100):
                    (tmp_path / "hub.db").write_text("x" * n)
                    await anyio.sleep(0.01)

            group.start_soon(noise)
            async for _ in watch_files([file], anyio.Event()):
                pytest.fail("noticed what is none of its business")
    assert scope.cancelled_caught


@pytest.mark.anyio
async def test_the_watch_ends_at_once_when_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "_CHECK_INTERVAL_S", 3600.0)
    file = tmp_path / "config.yaml"
    file.write_text("a")
    stop = anyio.Event()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:

            async def tell() -> None:
                await anyio.sleep(0.1)
                stop.set()

            group.start_soon(tell)
            async for _ in watch_files([file], stop):
                pytest.fail("nothing has changed")


@contextmanager
def mounted_over(file: Path, target: Path) -> Iterator[None]:
    """`target` shows `file`, as a container sees a single file of its host."""
    if subprocess.run(["mount", "--bind", file, target], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)


@pytest.mark.anyio
async def test_a_file_edited_in_place_under_a_bind_mount_is_noticed(tmp_path: Path) -> None:
    host, inside = tmp_path / "host.yaml", tmp_path / "inside" / "config.yaml"
    inside.parent.mkdir()
    host.write_text("hub: {name: a}")
    inside.touch()
    with mounted_over(host, inside), anyio.fail_after(10):
        seen = load_config(inside, {}).stamps
        host.write_text("hub: {name: b}")
        async for _ in watch_files([inside], anyio.Event(), seen):
            break


@pytest.mark.anyio
async def test_a_file_edited_after_it_was_read_and_before_it_was_watched_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    for name in ("a", "b"):
        (tmp_path / "units" / f"{name}.yaml").write_text(f"[{{id: {name}, host: {name}}}]")
    (tmp_path / "token").write_text("0123456789abcdef")
    file = tmp_path / "config.yaml"
    file.write_text("include: ['units/*.yaml']\nhub: {tokens: [{name: a, token: {file: token}, role: viewer}]}")
    loaded = load_config(file, {})
    with anyio.move_on_after(1.5) as unchanged:
        async for _ in watch_files(loaded.files, anyio.Event(), loaded.stamps):
            break
    assert unchanged.cancelled_caught
    (tmp_path / "token").write_text("0123456789abcdeX")
    with anyio.fail_after(10):
        async for _ in watch_files(loaded.files, anyio.Event(), loaded.stamps):
            break
