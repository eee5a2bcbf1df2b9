"""Useless sessions are replaced, and no session writes without the lock."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import anyio
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hub.database.database import Database, open_database
from hub.database.errors import describe_error
from hub.database.lock import AdvisoryLock, DatabaseInUse
from hub.store.schema import upgrade
from hub.store.tables import register_boot
from tests.elapsed import takes_less_than
from tests.hub.store.events import snapshot
from tests.hub.store.test_recorder import recording, sequences

pytestmark = pytest.mark.anyio


def write_boot(session: Session) -> None:
    register_boot(session, datetime.now(UTC), "1")


def step_down(session: Session) -> None:
    """What a server that has handed over does to a session that stays open."""
    session.execute(text("SET default_transaction_read_only = on"))


@pytest.fixture
async def server(own_postgres_url: str) -> AsyncIterator[Database]:
    async with open_database(own_postgres_url) as database:
        await database.write(upgrade)
        yield database


async def step_all_down(database: Database) -> None:
    await database.write(step_down)
    await database.write(step_down, durable=True)


@pytest.mark.parametrize("durable", [False, True])
async def test_a_server_that_stepped_down_costs_one_write(postgres: Database, durable: bool) -> None:
    await step_all_down(postgres)
    with pytest.raises(DBAPIError) as caught:
        await postgres.write(write_boot, durable=durable)
    assert describe_error(caught.value) == "read-only"
    for again in (durable, not durable):
        await postgres.write(write_boot, durable=again)


async def test_readers_leave_a_server_that_stepped_down_too(postgres: Database) -> None:
    ask = text("SELECT pg_backend_pid()")
    before = [await read(lambda session: session.execute(ask).scalar()) for read in (postgres.read, postgres.query)]
    await step_all_down(postgres)
    with pytest.raises(DBAPIError):
        await postgres.write(write_boot)
    after = [await read(lambda session: session.execute(ask).scalar()) for read in (postgres.read, postgres.query)]
    assert not set(before) & set(after)


async def test_a_server_that_became_read_only_has_no_lock(postgres: Database, empty_postgres_url: str) -> None:
    await step_all_down(postgres)
    with pytest.raises(DBAPIError):
        await postgres.write(write_boot)
    async with open_database(empty_postgres_url):  # the other hub is the one that the new server knows
        with pytest.raises(DBAPIError) as caught:
            await postgres.write(write_boot)
        assert describe_error(caught.value) == "another hub is using the database; stop one of them"
        with pytest.raises(DatabaseInUse):
            await postgres.acquire_lock()
    await postgres.write(write_boot)
    with pytest.raises(DatabaseInUse):
        async with open_database(empty_postgres_url):
            pass


async def test_a_lock_on_a_session_that_cannot_write_is_acquired_anew(postgres: Database) -> None:
    lock = postgres.sessions.lock
    assert isinstance(lock, AdvisoryLock)
    before = lock._connection
    assert before is not None
    before.execute(text("SET default_transaction_read_only = on"))
    await postgres.acquire_lock()
    assert lock.is_held
    assert lock._connection is not before


async def test_a_lost_session_that_lives_on_at_the_server_does_not_keep_its_own_hub_out(
    postgres: Database, empty_postgres_url: str
) -> None:
    lock = postgres.sessions.lock
    assert isinstance(lock, AdvisoryLock)
    await anyio.to_thread.run_sync(lock.reset)
    with psycopg.connect(empty_postgres_url, autocommit=True, application_name=lock._name) as lost:
        lost.execute("SELECT pg_advisory_lock(%s, hashtext(current_schema()))", (0x4855_4231,))
        await postgres.acquire_lock()
        assert lock.is_held
        with pytest.raises(psycopg.OperationalError):
            lost.execute("SELECT 1")


async def test_readings_kept_over_a_failover_are_stored_within_seconds(
    server: Database, own_postgres_url: str
) -> None:
    name = own_postgres_url.rpartition("/")[2]
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    )
    async with recording(server, first_retry_s=0.05) as (recorder, watch):
        recorder.offer_nowait(snapshot(1))
        await watch.until(lambda: watch.rows == 1)
        with psycopg.connect(own_postgres_url, autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            admin.execute(cut)  # every new session is read-only, too
            recorder.offer_nowait(snapshot(2))
            await watch.until(lambda: (True, "read-only") in watch.troubles)
            recorder.offer_nowait(snapshot(3))
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await watch.until(lambda: watch.rows == 3)
        assert watch.troubles[-1] == (False, "")
    assert await server.read(sequences) == [1, 2, 3]


@pytest.mark.parametrize("state", ["25006", "57P01", "57P02", "57P03", "08006", "08003", "26000", "0A000"])
async def test_states_that_a_session_does_not_recover_from_replace_it(postgres: Database, state: str) -> None:
    def fail(session: Session) -> None:
        session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"))

    def ask(session: Session) -> int:
        return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())

    before = await postgres.write(ask)
    with pytest.raises(DBAPIError):
        await postgres.write(fail)
    assert await postgres.write(ask) != before


async def test_an_error_of_a_statement_keeps_the_session(postgres: Database) -> None:
    def ask(session: Session) -> int:
        return int(session.execute(text("SELECT pg_backend_pid()")).scalar_one())

    before = await postgres.write(ask)
    with pytest.raises(DBAPIError):
        await postgres.write(lambda session: session.execute(text("SELECT nonsense")))
    assert await postgres.write(ask) == before


async def test_a_lock_that_another_hub_acquired_ends_the_guard(postgres: Database, empty_postgres_url: str) -> None:
    from hub.store.upkeep import run_guard

    lock = postgres.sessions.lock
    assert lock is not None
    await anyio.to_thread.run_sync(lock.reset)
    async with open_database(empty_postgres_url):
        with takes_less_than(10), pytest.raises(DatabaseInUse, match="another hub"):
            await partial(run_guard, postgres)()
