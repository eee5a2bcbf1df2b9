"""What a crash left behind the readings is made again from them."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from hub.database.database import Database
from hub.store.batch import BatchMaker, sqlite_time
from hub.store.insert import write_batch
from hub.store.repair import repair
from hub.store.tables import Minute, StoredSnapshot
from tests.hub.store.events import START, snapshot

pytestmark = pytest.mark.anyio


def minutes(session: Session) -> list[tuple[object, ...]]:
    rows = session.exec(select(Minute).order_by(sa.column("unit_id"), sa.column("at"))).all()
    return [
        (m.unit_id, m.at, round(m.leq_lp or 0.0, 6), m.lp_max, m.lp_min, m.count, round(m.coverage, 6))
        for m in rows
    ]


async def test_snapshots_and_minutes_catch_up_with_the_readings(database: Database) -> None:
    events = [snapshot(n, unit_id=unit_id, lp=50.0 + n % 7) for n in range(1, 200) for unit_id in ("a", "b")]
    time_of = sqlite_time if database.dialect == "sqlite" else lambda at: at
    maker = BatchMaker(time_of)
    whole = [maker.make(events[:250]), maker.make(events[250:])]
    for batch in whole:
        await database.write(lambda session, b=batch: write_batch(session, b))  # type: ignore[misc]
    complete = await database.read(minutes)

    def lose(session: Session) -> None:
        """As if the last sums had not been written."""
        session.execute(sa.update(Minute).where(sa.column("at") >= START + timedelta(seconds=180)).values(count=1))
        session.execute(sa.update(StoredSnapshot).values(sequence=190, at=START + timedelta(seconds=190)))

    await database.write(lose)
    assert await database.read(minutes) != complete
    await database.write(repair)
    assert await database.read(minutes) == complete
    latest = await database.read(lambda session: session.exec(select(StoredSnapshot.sequence)).all())
    assert list(latest) == [199, 199]


async def test_an_empty_database_needs_no_repair(database: Database) -> None:
    await database.write(repair)
    assert await database.read(minutes) == []
