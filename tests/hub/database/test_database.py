"""The database: one writer, several readers, deadlines, and one hub at a time."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlmodel import Session, select

from alerts.store.database import Write
from hub.database.database import Database, DatabaseNotUtf8, open_database
from hub.database.engines import SqliteTooOld
from hub.database.errors import describe_error
from hub.database.lock import DatabaseInUse
from hub.store.tables import Boot, UnitState, load_unit_states, register_boot, save_unit_state
from tests.elapsed import takes_less_than
from tests.hub.conftest import own_postgres

pytestmark = pytest.mark.anyio

ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}


async def test_what_is_written_is_read_back_with_its_time_in_utc(database: Database) -> None:
    at = datetime(2026, 3, 29, 1, 30, 0, 123456, timezone(timedelta(hours=2)))
    await database.write(lambda session: register_boot(session, at, "1.0"))
    boot = await database.read(lambda session: session.exec(select(Boot)).one())
    assert (boot.started_at, boot.started_at.tzinfo) == (at, UTC)


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError):
        await database.write(lambda session: register_boot(session, datetime(2026, 1, 1), "1.0"))  # noqa: DTZ001


@pytest.mark.parametrize("durable", [False, True])
async def test_work_that_fails_leaves_nothing_behind(database: Database, durable: bool) -> None:
    def fail(session: Session) -> None:
        register_boot(session, datetime.now(UTC), "1.0")
        raise LookupError("after the insert")

    with pytest.raises(LookupError):
        await database.write(fail, durable=durable)
    assert await database.read(lambda session: session.exec(select(Boot)).all()) == []


async def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        await database.read(lambda session: session.execute(text("DELETE FROM boots")))
    assert describe_error(caught.value) == "read-only"


async def test_writes_come_one_after_the_other_and_reads_side_by_side(database: Database) -> None:
    writing = threading.Lock()
    together = threading.Barrier(3, timeout=5)

    def write(session: Session) -> None:
        assert writing.acquire(blocking=False)
        session.execute(text("SELECT 1"))
        writing.release()

    async with anyio.create_task_group() as tasks:
        for durable in (True, False) * 3:
            tasks.start_soon(partial(database.write, write, durable=durable))
        for _ in range(3):
            tasks.start_soon(database.read, lambda _session: together.wait())


async def test_a_read_goes_on_while_something_is_written(database: Database) -> None:
    inside, done = threading.Event(), threading.Event()

    def write(session: Session) -> None:
        register_boot(session, datetime.now(UTC), "1.0")
        inside.set()
        assert done.wait(5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(database.write, write)
        await anyio.to_thread.run_sync(inside.wait)
        assert await database.read(lambda session: session.exec(select(Boot)).all()) == []
        done.set()
    assert len(await database.read(lambda session: session.exec(select(Boot)).all())) == 1


async def test_a_read_beyond_its_deadline_ends_and_the_next_one_works(database_url: str) -> None:
    async with open_database(database_url, read_deadline_s=0.2) as database:
        with takes_less_than(5):
            with pytest.raises(DBAPIError) as caught:
                await database.read(lambda session: session.execute(text(ENDLESS[database.dialect])).all())
            assert describe_error(caught.value) == "too slow"
            assert await database.read(lambda session: session.execute(text("SELECT 1")).scalar()) == 1


async def test_a_cancelled_write_is_committed_whole_or_not_begun(database: Database) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def write(session: Session) -> None:
        inside.set()
        assert go_on.wait(5)
        register_boot(session, datetime.now(UTC), "1.0")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(database.write, write)
        await anyio.to_thread.run_sync(inside.wait)
        tasks.cancel_scope.cancel()
        go_on.set()
    assert len(await database.read(lambda session: session.exec(select(Boot)).all())) == 1


async def test_sqlite_syncs_only_what_must_be_durable(sqlite: Database) -> None:
    def setting(name: str) -> object:
        return lambda session: session.execute(text(f"PRAGMA {name}")).scalar()

    assert await sqlite.write(setting("synchronous")) == 1  # type: ignore[arg-type]
    assert await sqlite.write(setting("synchronous"), durable=True) == 2  # type: ignore[arg-type]
    assert await sqlite.read(setting("journal_mode")) == "wal"  # type: ignore[arg-type]
    assert await sqlite.write(setting("foreign_keys")) == 1  # type: ignore[arg-type]


async def test_postgres_waits_for_the_disk_only_for_what_must_be_durable(postgres: Database) -> None:
    show = text("SHOW synchronous_commit")
    assert await postgres.write(lambda session: session.execute(show).scalar()) == "off"
    assert await postgres.write(lambda session: session.execute(show).scalar(), durable=True) == "on"


async def test_a_second_hub_is_refused_and_one_that_only_looks_is_not(database_url: str) -> None:
    async with open_database(database_url):
        with pytest.raises(DatabaseInUse, match="another hub"):
            async with open_database(database_url):
                pass
        async with open_database(database_url, exclusive=False) as looker:
            assert await looker.read(lambda session: session.execute(text("SELECT 1")).scalar()) == 1
    async with open_database(database_url):  # the first one has gone
        pass


async def test_the_second_hub_is_refused_by_another_name_of_the_file_too(tmp_path: Path) -> None:
    async with open_database(f"sqlite:///{tmp_path / 'hub.db'}"):
        (tmp_path / "link.db").symlink_to(tmp_path / "hub.db")
        with pytest.raises(DatabaseInUse):
            async with open_database(f"sqlite:///{tmp_path / 'link.db'}"):
                pass


CUT_CLAIM = text(
    "SELECT pg_terminate_backend(pid) FROM pg_locks"
    " WHERE locktype = 'advisory' AND classid = 1213547057"
    " AND objid = hashtext(current_schema())::bigint & 4294967295 AND pid <> pg_backend_pid()"
)


async def test_a_lock_with_a_cut_connection_is_acquired_again(postgres: Database, empty_postgres_url: str) -> None:
    assert len(await postgres.write(lambda session: session.execute(CUT_CLAIM).all())) == 1
    await postgres.acquire_lock()
    with pytest.raises(DatabaseInUse):
        async with open_database(empty_postgres_url):
            pass


async def test_a_lock_that_another_hub_acquired_is_lost(postgres: Database, empty_postgres_url: str) -> None:
    assert len(await postgres.write(lambda session: session.execute(CUT_CLAIM).all())) == 1
    async with open_database(empty_postgres_url):
        with pytest.raises(DatabaseInUse):
            await postgres.acquire_lock()


async def test_a_missing_server_is_unreachable_and_its_password_is_not_shown() -> None:
    with pytest.raises(DBAPIError) as caught:
        async with open_database("postgresql://hub:geheim@127.0.0.1:1/hub"):
            pass
    assert describe_error(caught.value) == "unreachable"
    assert "geheim" not in describe_error(caught.value)


async def test_a_folder_in_place_of_the_file_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "hub.db").mkdir()
    async with open_database(f"sqlite:///{tmp_path / 'hub.db'}") as database:
        with pytest.raises(DBAPIError) as caught:
            await database.read(lambda session: session.execute(text("SELECT 1")))
    assert describe_error(caught.value) == "cannot open"


async def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "hub.db").write_bytes(b"a letter to the council, quite long enough to fill a header" * 20)
    async with open_database(f"sqlite:///{tmp_path / 'hub.db'}") as database:
        with pytest.raises(DBAPIError) as caught:
            await database.read(lambda session: session.execute(text("SELECT 1")))
    assert describe_error(caught.value) == "damaged"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/db"])
async def test_a_database_that_cannot_be_served_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="database"):
        async with open_database(url):
            pass


async def test_what_was_decided_about_a_unit_survives(database: Database) -> None:
    await database.write(lambda session: save_unit_state(session, UnitState(unit_id="gate-a", released=True)))
    await database.write(lambda session: save_unit_state(session, UnitState(unit_id="gate-a", keep_alive=False)))
    states = await database.read(load_unit_states)
    assert (states["gate-a"].released, states["gate-a"].keep_alive) == (False, False)


async def test_writes_in_turn_are_each_committed_before_the_next_is_asked_for(database: Database) -> None:
    asked: list[int] = []
    seen: list[int] = []
    here = threading.get_ident()

    def take() -> Write | None:
        assert threading.get_ident() == here
        asked.append(len(asked))
        return Write(begin, True, look) if len(asked) <= 3 else None

    def begin(session: Session) -> None:
        register_boot(session, datetime.now(UTC), "1.0")

    def look(session: Session) -> None:
        seen.append(len(session.exec(select(Boot)).all()))

    with anyio.fail_after(60):
        await database.write_in_turn(take)
    assert (asked, seen) == ([0, 1, 2, 3], [1, 2, 3])


async def test_no_other_writer_comes_between_writes_in_turn(database: Database) -> None:
    order: list[str] = []
    left = 3

    def take() -> Write | None:
        nonlocal left
        left -= 1
        return Write(lambda session: order.append("in turn"), True) if left >= 0 else None

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(database.write_in_turn, take)
        tasks.start_soon(database.write, lambda session: order.append("other"))
    assert order == ["in turn"] * 3 + ["other"]


async def test_a_write_in_turn_that_is_refused_ends_them(database: Database) -> None:
    left = 3

    def take() -> Write | None:
        nonlocal left
        left -= 1
        return Write(lambda session: session.execute(text("SELECT nonsense")), True)

    with pytest.raises(DBAPIError):
        await database.write_in_turn(take)
    assert left == 2
    assert await database.read(lambda session: session.execute(text("SELECT 1")).scalar()) == 1


async def test_a_library_that_is_too_old_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 31, 0))
    with pytest.raises(SqliteTooOld, match="or newer is needed"):
        async with open_database(f"sqlite:///{tmp_path}/hub.db"):
            pass


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
@pytest.mark.parametrize("exclusive", [True, False])
async def test_a_database_that_cannot_hold_every_text_is_refused_in_one_line(
    postgres_url: str, encoding: str, exclusive: bool
) -> None:
    with own_postgres(postgres_url, encoding) as url:
        with pytest.raises(DatabaseNotUtf8, match=f"{encoding} and the hub needs UTF8: .*createdb") as caught:
            async with open_database(url, exclusive=exclusive):
                pass
    assert "\n" not in str(caught.value)
