"""The checks of the storage that health reports."""

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hub.database.checks import TABLES, unreadable_parts
from hub.database.database import Database
from hub.store.schema import metadata
from hub.store.upkeep import check_storage

pytestmark = pytest.mark.anyio

NO_TABLE = "without the tables of this version, run `hub db upgrade`"


def rename(before: str, after: str) -> object:
    def work(session: Session) -> None:
        session.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))

    return work


def test_every_table_belongs_to_a_part_of_the_storage() -> None:
    assert sorted(table for tables in TABLES.values() for table in tables) == sorted(metadata().tables)


async def test_a_sound_database_keeps_them_all(database: Database) -> None:
    assert await database.read(unreadable_parts) == {}


async def test_a_missing_table_fails_its_part_and_no_other(database: Database) -> None:
    await database.write(rename("alert_states", "away"))  # type: ignore[arg-type]
    assert await database.check() == {"transitions": NO_TABLE}


async def test_an_idle_hub_finds_out_that_it_cannot_commit(database: Database) -> None:
    now_s = 0.0
    database.outcomes.clock_s = lambda: now_s
    await database.write(rename("boots", "away"))  # type: ignore[arg-type]
    for now_s in (0.0, 5.0):  # noqa: B007
        await check_storage(database)
    assert database.outcomes.failing == {"readings": NO_TABLE, "commits": NO_TABLE}
    await database.write(rename("away", "boots"))  # type: ignore[arg-type]
    for now_s in (10.0, 15.0):  # noqa: B007
        await check_storage(database)
    assert database.outcomes.failing == {}


async def test_a_read_that_failed_once_and_is_not_tried_again_is_forgiven_by_the_check(database: Database) -> None:
    now_s = 0.0
    database.outcomes.clock_s = lambda: now_s
    database.outcomes.failed("deliveries", "read", "too slow")
    now_s = 3.0
    database.outcomes.settle()
    assert database.outcomes.failing == {"deliveries": "too slow"}
    await check_storage(database)
    assert database.outcomes.failing == {}
