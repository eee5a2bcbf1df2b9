"""Migrations: the same tables as the models, from nothing and from an older revision."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import Session

from hub.database.database import Database, open_database
from hub.store.schema import DatabaseTooNew, current_revision, known_revisions, metadata, upgrade

pytestmark = pytest.mark.anyio


async def test_the_migrations_make_the_tables_of_the_models(database: Database) -> None:
    def differences(session: Session) -> list[object]:
        context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
        return list(compare_metadata(context, metadata()))

    assert await database.write(differences) == []


async def test_sqlite_keeps_readings_in_one_tree(sqlite: Database) -> None:
    ddl = await sqlite.read(
        lambda session: session.execute(
            sa.text("SELECT sql FROM sqlite_master WHERE name = 'readings'")
        ).scalar_one()
    )
    assert "WITHOUT ROWID" in ddl
    assert "PRIMARY KEY (unit_id, at, sequence)" in ddl


async def test_an_older_database_is_brought_up_to_date_and_keeps_its_rows(database_url: str) -> None:
    oldest, newest = known_revisions()[-1], known_revisions()[0]
    add = sa.text("INSERT INTO unit_states (unit_id, released) VALUES ('gate-a', true)")
    async with open_database(database_url) as database:
        assert await database.write(lambda session: upgrade(session, oldest)) == oldest
        await database.write(lambda session: session.execute(add))
        assert await database.write(upgrade) == newest
        assert await database.read(
            lambda session: session.execute(sa.text("SELECT unit_id FROM unit_states")).scalars().all()
        ) == ["gate-a"]


async def test_a_second_upgrade_changes_nothing(database: Database) -> None:
    before = await database.read(current_revision)
    assert await database.write(upgrade) == before


async def test_a_database_of_a_newer_hub_is_refused(database: Database) -> None:
    await database.write(
        lambda session: session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    )
    with pytest.raises(DatabaseTooNew, match="newer version"):
        await database.write(upgrade)


async def test_a_failed_upgrade_leaves_nothing_behind(database_url: str) -> None:
    def interrupted(session: Session) -> None:
        upgrade(session)
        raise RuntimeError("power cut")

    async with open_database(database_url) as database:
        with pytest.raises(RuntimeError):
            await database.write(interrupted)
        assert await database.read(lambda session: sa.inspect(session.connection()).get_table_names()) == []
