"""Retention: old rows go in small pieces, young ones stay, and lack of space is said once."""

from datetime import datetime, timedelta

import anyio
import anyio.from_thread
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, func, select

from hub.database.database import Database
from hub.runtime.clock import Clock
from hub.store.batch import BatchMaker, sqlite_time
from hub.store.insert import write_batch
from hub.store.retention import Ages, Retention, lack_of_space, units_with_old
from hub.store.size import Space
from hub.store.tables import Minute, StoredReading, StoredStateChange
from tests.hub.store.events import START, change, snapshot

pytestmark = pytest.mark.anyio

NOW = START + timedelta(hours=12, seconds=30)
AGES = Ages(readings_s=3600.0, minutes_s=7200.0, alerts_s=86400.0)


class StoppedClock(Clock):
    """It is NOW."""

    def now(self) -> datetime:
        return NOW


async def store_one_every_minute(database: Database, hours: int, unit_id: str) -> None:
    maker = BatchMaker(sqlite_time if database.dialect == "sqlite" else lambda at: at)
    events = [
        snapshot(n, at=NOW - timedelta(minutes=n), unit_id=unit_id, cadence_s=60.0)
        for n in range(hours * 60, 0, -1)
    ]
    await database.write(lambda session: write_batch(session, maker.make(events)))


def counts(session: Session) -> tuple[int, int]:
    return (
        session.exec(select(func.count()).select_from(StoredReading)).one(),
        session.exec(select(func.count()).select_from(Minute)).one(),
    )


async def test_each_table_keeps_what_is_younger_than_its_own_age(database: Database) -> None:
    for unit_id in ("gate-a", "gone-from-the-configuration"):
        await store_one_every_minute(database, 5, unit_id)
    retention = Retention(database, StoppedClock(), AGES, chunk=7, pause_s=0)
    await retention.delete_old()
    readings, minutes = await database.read(counts)
    assert (readings, minutes) == (2 * 60, 2 * 119)  # the minute of two hours ago began before
    assert retention.deleted == 4 * 300 - readings - minutes


async def test_only_units_that_have_old_rows_are_visited(database: Database) -> None:
    for unit_id, hours in (("gate-a", 3), ("gate-b", 1), ("gate-c", 4)):
        await store_one_every_minute(database, hours, unit_id)
    table = StoredReading.__table__  # type: ignore[attr-defined]
    before = NOW - timedelta(hours=2)
    assert await database.read(lambda s: units_with_old(s, before, table=table)) == ["gate-a", "gate-c"]
    assert await database.read(lambda s: units_with_old(s, NOW - timedelta(days=9), table=table)) == []


async def test_no_transaction_deletes_more_than_a_chunk(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_one_every_minute(database, 3, "gate-a")
    sizes: list[int] = []
    write = database.write

    async def watched_write(work, *, durable=False):  # type: ignore[no-untyped-def]
        sizes.append(await write(work, durable=durable))
        return sizes[-1]

    monkeypatch.setattr(database, "write", watched_write)
    await Retention(database, StoppedClock(), AGES, chunk=50, pause_s=0).delete_old()
    assert max(sizes) == 50
    assert sum(sizes) >= 120 + 60


async def test_rows_of_one_instant_are_deleted_even_when_they_are_more_than_a_chunk(sqlite: Database) -> None:
    maker = BatchMaker(sqlite_time)
    events = [snapshot(n, at=NOW - timedelta(days=1)) for n in range(1, 21)]
    await sqlite.write(lambda session: write_batch(session, maker.make(events)))
    await Retention(sqlite, StoppedClock(), AGES, chunk=3, pause_s=0).delete_old()
    assert await sqlite.read(counts) == (0, 0)


async def test_state_changes_go_with_the_minutes(database: Database) -> None:
    maker = BatchMaker(sqlite_time if database.dialect == "sqlite" else lambda at: at)
    old = change(0, "ok", "unreachable")
    await database.write(lambda session: write_batch(session, maker.make([old, old._replace(at=NOW)])))
    await Retention(database, StoppedClock(), AGES).delete_old()
    left = await database.read(lambda session: session.exec(select(StoredStateChange)).all())
    assert [row.at for row in left] == [NOW]


async def test_alerts_are_deleted_by_those_who_know_them(sqlite: Database) -> None:
    left = [25]
    asked: list[datetime] = []

    def delete_alerts(_session: Session, before: datetime, limit: int) -> int:
        asked.append(before)
        gone = min(limit, left[0])
        left[0] -= gone
        return gone

    await Retention(sqlite, StoppedClock(), AGES, delete_alerts=delete_alerts, chunk=10, pause_s=0).delete_old()
    assert (left, len(asked)) == ([0], 3)
    assert asked[0] == NOW - timedelta(days=1)


async def test_too_large_a_database_is_told_once_and_told_when_it_is_over(database: Database) -> None:
    told: list[str | None] = []
    retention = Retention(database, StoppedClock(), AGES, max_size=1, on_space=told.append)
    await retention.check_space()
    await retention.check_space()
    assert len(told) == 1
    assert "database.max_size" in str(told[0])
    retention._max_size = 10**15
    await retention.check_space()
    assert told[1] is None or "1 GiB" in told[1]


async def test_enough_space_is_told_once_too_as_an_earlier_process_may_have_told_of_a_lack(
    database: Database,
) -> None:
    told: list[str | None] = []
    retention = Retention(database, StoppedClock(), AGES, on_space=told.append)
    await retention.check_space()
    await retention.check_space()
    assert len(told) == 1


def test_a_nearly_full_disk_is_a_lack_of_space_and_a_remote_disk_is_not_known() -> None:
    assert lack_of_space(Space(10, 1000), None) == "less than 1 GiB is free on the disk of the database"
    assert lack_of_space(Space(10, 10**12), 11) is None
    assert lack_of_space(Space(10, None), 11) is None


async def test_a_failing_database_does_not_end_it(sqlite: Database) -> None:
    await store_one_every_minute(sqlite, 2, "gate-a")
    await sqlite.write(lambda session: session.execute(text("ALTER TABLE readings RENAME TO away")))
    failed, whole_round = anyio.Event(), anyio.Event()
    read = sqlite.read

    async def watched_read(work):  # type: ignore[no-untyped-def]
        try:
            return await read(work)
        except DBAPIError:
            failed.set()
            raise

    def after_everything_else(_session: Session, _before: datetime, _limit: int) -> int:
        anyio.from_thread.run_sync(whole_round.set)
        return 0

    sqlite.read = watched_read  # type: ignore[method-assign]
    retention = Retention(
        sqlite, StoppedClock(), AGES, interval_s=0.01, first_s=0.0, delete_alerts=after_everything_else
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(retention.run)
        with anyio.fail_after(60):
            await failed.wait()
            await sqlite.write(lambda session: session.execute(text("ALTER TABLE away RENAME TO readings")))
            await whole_round.wait()
        tasks.cancel_scope.cancel()
    assert retention.deleted >= 60
