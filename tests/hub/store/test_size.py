"""What `hub db info` says."""

from pathlib import Path

import pytest
from sqlalchemy import text

from hub.database.database import Database, open_database
from hub.store.batch import BatchMaker, sqlite_time
from hub.store.insert import write_batch
from hub.store.schema import known_revisions
from hub.store.size import database_info
from tests.hub.store.events import snapshot

pytestmark = pytest.mark.anyio


async def test_rows_sizes_and_the_cost_of_a_unit_are_told(database: Database) -> None:
    maker = BatchMaker(sqlite_time if database.dialect == "sqlite" else lambda at: at)
    events = [snapshot(n, after_s=2 * n, unit_id=unit) for n in range(1, 2001) for unit in ("a", "b")]
    await database.write(lambda session: write_batch(session, maker.make(events)))
    if database.dialect == "postgresql":
        await database.write(lambda session: session.execute(text("ANALYZE")))
    info = await database.read(database_info)
    assert (info.revision, info.newest_revision, info.units) == (known_revisions()[0],) * 2 + (2,)
    tables = {table.name: table for table in info.tables}
    assert tables["readings"].rows == 4000
    assert tables["minutes"].rows == 134
    assert 4000 * 60 < (tables["readings"].bytes or 0) < 4000 * 400
    assert info.space.used > (tables["readings"].bytes or 0)
    days = 2 * 1999 * 2 / 86400
    assert info.bytes_per_unit_day == pytest.approx(info.space.used / days)
    assert (info.space.free is None) == (database.dialect == "postgresql")


async def test_an_empty_database_is_described_too(tmp_path: Path) -> None:
    async with open_database(f"sqlite:///{tmp_path / 'hub.db'}") as database:
        info = await database.read(database_info)
    assert (info.revision, info.tables, info.units, info.bytes_per_unit_day) == (None, [], 0, None)
