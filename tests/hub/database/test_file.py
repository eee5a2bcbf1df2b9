"""The file of a SQLite database is deleted, moved, emptied and replaced while a hub uses it."""

# ruff: noqa: ASYNC240  (short looks at a temporary folder)

import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool
from sqlmodel import Session, select

from hub.database.database import Database, open_database
from hub.database.errors import describe_error
from hub.database.file import EMPTIED, GONE, LOG_GONE
from hub.database.lock import DatabaseInUse
from hub.store.schema import adopt, upgrade
from hub.store.tables import Boot, UnitState, load_unit_states, register_boot, save_unit_state
from hub.store.upkeep import look_at_file
from tests.hub.store.events import START, snapshot
from tests.hub.store.test_recorder import recording, sequences

pytestmark = pytest.mark.anyio

BOOT = 7
prepare = partial(adopt, boot=BOOT, started_at=START, version="1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with open_database(f"sqlite:///{path}") as database:
        await database.write(upgrade)
        await note(database, "gate-a")
        assert await noted(database) == {"gate-a"}  # so a session for reading is open, too
        yield database


async def note(database: Database, unit_id: str) -> None:
    await database.write(lambda session: save_unit_state(session, UnitState(unit_id=unit_id, released=True)))


async def noted(database: Database) -> set[str]:
    return set(await database.read(load_unit_states))


async def look(database: Database, times: int = 1) -> None:
    for _ in range(times):
        await look_at_file(database, prepare)


async def refused(database: Database) -> str:
    with pytest.raises(DBAPIError) as caught:
        await note(database, "lost")
    return describe_error(caught.value)


def back_up(path: Path) -> Path:
    copy = path.with_name("backup.db")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def remove(path: Path) -> None:
    for name in ("", "-wal", "-shm"):
        path.with_name(path.name + name).unlink()


async def test_nothing_is_written_into_a_file_that_was_deleted_and_what_it_held_can_be_read(
    database: Database, path: Path
) -> None:
    remove(path)
    await look(database)
    assert await refused(database) == GONE
    assert (await database.check())["file"] == GONE
    assert await noted(database) == {"gate-a"}
    assert not path.exists(), "nothing makes an empty file in its place"


async def test_a_file_that_is_moved_back_is_gone_on_with(database: Database, path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))
    await look(database)
    assert await refused(database) == GONE
    path.with_name("elsewhere.db").rename(path)
    await look(database)
    await note(database, "gate-b")
    assert await noted(database) == {"gate-a", "gate-b"}


async def test_a_deleted_file_is_restored_from_an_open_connection(database: Database, path: Path) -> None:
    remove(path)
    await look(database, 12)
    await note(database, "gate-b")
    await database.close()
    with closing(sqlite3.connect(path)) as connection:
        assert {row[0] for row in connection.execute("SELECT unit_id FROM unit_states")} == {"gate-a", "gate-b"}
    assert sorted(file.name for file in path.parent.iterdir() if "rescued" in file.name) == []


async def test_a_backup_in_place_of_the_file_is_used_without_the_old_log(database: Database, path: Path) -> None:
    backup = back_up(path)
    await note(database, "only-in-the-old-log")
    backup.replace(path)
    await look(database)
    await note(database, "gate-b")
    assert await noted(database) == {"gate-a", "gate-b"}
    boots = await database.read(lambda session: list(session.exec(select(Boot.id))))
    assert boots == [BOOT], "the next boot is above the one that is running"


async def test_an_empty_file_at_the_path_gets_the_tables(database: Database, path: Path) -> None:
    remove(path)
    path.touch()
    await look(database)
    await note(database, "gate-b")
    assert await noted(database) == {"gate-b"}


async def test_what_is_no_database_is_not_gone_on_with(database: Database, path: Path) -> None:
    path.with_name("letter").write_bytes(b"a letter to the council, long enough to fill a header" * 20)
    path.with_name("letter").replace(path)
    await look(database)
    assert await refused(database) == "another file is in its place"


async def test_a_file_that_was_emptied_is_not_written_to_until_restored(database: Database, path: Path) -> None:
    backup = back_up(path)
    os.truncate(path, 0)
    await look(database)
    assert await refused(database) == EMPTIED
    shutil.copyfile(backup, path)
    await look(database, 2)
    await note(database, "gate-b")
    assert await noted(database) == {"gate-a", "gate-b"}


async def test_a_deleted_log_is_reported(database: Database, path: Path) -> None:
    await look(database)
    path.with_name("hub.db-wal").unlink()
    now_s = 0.0
    database.outcomes.clock_s = lambda: now_s
    for now_s in (0.0, 3.0):  # noqa: B007
        await look(database)
    assert database.outcomes.failing == {"log": LOG_GONE}


def idle_readers(database: Database) -> int:
    pool = database.sessions.engines.readers.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedin()


async def test_idle_readers_are_closed_and_the_next_one_opens_another(database: Database) -> None:
    await look(database)
    assert idle_readers(database) == 1
    await database.close_idle()
    assert idle_readers(database) == 0
    await look(database)
    assert await noted(database) == {"gate-a"}
    assert database.outcomes.failing == {}


async def test_a_reader_at_work_is_not_closed(database: Database) -> None:
    begun, closed = threading.Event(), threading.Event()

    def read(session: Session) -> set[str]:
        begun.set()
        assert closed.wait(30)
        return set(load_unit_states(session))

    async with anyio.create_task_group() as tasks:

        async def close_idle() -> None:
            await anyio.to_thread.run_sync(begun.wait)
            await database.close_idle()
            closed.set()

        tasks.start_soon(close_idle)
        assert await database.read(read) == {"gate-a"}


@pytest.mark.parametrize("name", ["hub.db", "hub.db-wal"])
async def test_readers_of_a_deleted_file_stay_open(database: Database, path: Path, name: str) -> None:
    await look(database)
    path.with_name(name).unlink()
    await look(database)
    await database.close_idle()
    assert idle_readers(database) == 1
    assert await noted(database) == {"gate-a"}


async def test_the_recorder_keeps_what_comes_while_the_file_is_gone(database: Database, path: Path) -> None:
    async with recording(database) as (recorder, watch):
        recorder.offer_nowait(snapshot(1))
        await watch.until(lambda: watch.rows == 1)
        path.rename(path.with_name("elsewhere.db"))
        await look(database)
        recorder.offer_nowait(snapshot(2))
        await watch.until(lambda: watch.troubles == [(True, GONE)])
        path.with_name("elsewhere.db").rename(path)
        await look(database)
        await watch.until(lambda: watch.rows == 2)
    assert await database.read(sequences) == [1, 2]


async def test_the_second_hub_is_refused_by_a_hard_link_of_the_file(database: Database, path: Path) -> None:
    other = path.parent / "other"
    other.mkdir()
    os.link(path, other / "hub.db")
    with pytest.raises(DatabaseInUse, match="another name"):
        async with open_database(f"sqlite:///{other / 'hub.db'}"):
            pass


async def test_a_second_hub_on_the_successor_ends_this_one(database: Database, path: Path) -> None:
    other = path.parent / "other" / "hub.db"
    async with open_database(f"sqlite:///{other}") as second:
        await second.write(upgrade)
        remove(path)
        os.link(other, path)
        with pytest.raises(DatabaseInUse):
            await look(database)
        assert await refused(database) == "another file is in its place"


async def test_the_files_of_the_database_are_the_users_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    before = os.umask(0o022)
    try:
        async with open_database(f"sqlite:///{folder}/hub.db") as database:
            await database.write(upgrade)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (folder, *folder.iterdir())}
    finally:
        os.umask(before)
    assert modes == {
        "data": 0o700,
        "hub.db": 0o600,
        "hub.db-wal": 0o600,
        "hub.db-shm": 0o600,
        "hub.db.lock": 0o600,
    }


async def test_files_of_an_earlier_version_are_made_the_users_alone(path: Path) -> None:
    path.touch(0o644)
    path.chmod(0o644)
    async with open_database(f"sqlite:///{path}") as database:
        await database.write(lambda session: register(session))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def register(session: Session) -> None:
    upgrade(session)
    register_boot(session, datetime.now(UTC), "1")


async def test_a_check_blocks_no_other_task(database: Database) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look, database)
        await note(database, "gate-b")
