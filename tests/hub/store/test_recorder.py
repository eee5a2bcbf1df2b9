"""The recorder: every reading is written once, whatever the database does meanwhile."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select

from hub.database.database import Database
from hub.readings.snapshot import Event, Failure, PollFailure
from hub.runtime.clock import Clock
from hub.store.recorder import Recorder
from hub.store.tables import Minute, StoredReading, StoredSnapshot, StoredStateChange, register_boot, sequence_base
from tests.elapsed import takes_less_than
from tests.hub.store.events import START, change, snapshot

pytestmark = pytest.mark.anyio


@dataclass
class Watch:
    """What the recorder told; each event can be waited for."""

    troubles: list[tuple[bool, str]] = field(default_factory=list)
    rows: int = 0
    latencies: list[float] = field(default_factory=list)
    changed: anyio.Event = field(default_factory=anyio.Event)

    def failure(self, failing: bool, reason: str) -> None:
        self.troubles.append((failing, reason))
        self._wake()

    def commit(self, rows: int, latency_s: float) -> None:
        self.rows += rows
        self.latencies.append(latency_s)
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def until(self, question: Callable[[], bool]) -> None:
        with anyio.fail_after(60):
            while not question():
                await self.changed.wait()


@asynccontextmanager
async def recording(database: Database, **how: Any) -> AsyncIterator[tuple[Recorder, Watch]]:
    """A running recorder; leaving the block stops it as the hub does."""
    watch = Watch()
    boot = await database.write(lambda session: register_boot(session, START, "1"))
    how = {"interval_s": 0.005, "first_retry_s": 0.01, "drain_s": 60.0, **how}
    recorder = Recorder(database, boot, Clock(), on_failure=watch.failure, on_commit=watch.commit, **how)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run)
        yield recorder, watch
        tasks.cancel_scope.cancel()


async def record(database: Database, events: list[Event], **how: Any) -> Recorder:
    async with recording(database, **how) as (recorder, _):
        for event in events:
            recorder.offer_nowait(event)
    return recorder


def sequences(session: Session) -> list[int]:
    return list(session.exec(select(StoredReading.sequence).order_by(StoredReading.sequence)))  # type: ignore[arg-type]


async def test_a_reading_is_stored_as_it_was(database: Database) -> None:
    given = snapshot(1, 62.4, quality=("over", "frozen"), raw=" 62.4,\t\\raw")
    await record(database, [given], keep_raw=True)
    row = (await database.read(lambda session: session.exec(select(StoredReading)).all()))[0]
    assert (row.unit_id, row.sequence, row.at) == ("gate-a", 1, given.at)
    assert (row.lp, row.leq, row.le, row.lmax, row.lmin, row.lpeak) == (62.4, 61.0, 95.2, 78.1, 44.0, 91.3)
    assert (row.ln1, row.ln2, row.ln3, row.ln4, row.ln5) == (66.0, 64.2, 60.1, 55.0, 53.2)
    assert (row.over, row.under, row.run_state, row.run_started_at) == (False, None, "Start", START)
    assert (row.quality, row.cadence_s, row.raw_payload) == ("over,frozen", 1.0, " 62.4,\t\\raw")


async def test_the_meters_own_line_is_not_stored_unless_wanted(sqlite: Database) -> None:
    await record(sqlite, [snapshot(1, raw="secret")])
    assert (await sqlite.read(lambda session: session.exec(select(StoredReading)).one())).raw_payload is None


async def test_the_latest_reading_of_each_unit_is_kept_apart(database: Database) -> None:
    await record(database, [snapshot(n, unit_id=unit) for n in range(1, 6) for unit in ("a", "b")])
    await record(database, [snapshot(7, 44.0, unit_id="b")])
    rows = await database.read(lambda session: session.exec(select(StoredSnapshot)).all())
    assert {row.unit_id: (row.sequence, row.lp) for row in rows} == {"a": (5, 60.0), "b": (7, 44.0)}


async def test_changes_of_state_are_stored_and_failed_polls_are_not(database: Database) -> None:
    given = change(5, "ok", "unreachable")
    await record(database, [given, PollFailure("gate-a", START, 0.0, Failure.TIMEOUT, None, 1.0)])
    (row,) = await database.read(lambda session: session.exec(select(StoredStateChange)).all())
    assert (row.unit_id, row.at, row.what, row.old, row.new, row.reason) == (*given[:2], *given[3:])


async def test_a_minute_written_in_many_batches_is_the_same_as_in_one(database: Database) -> None:
    events: list[Event] = [snapshot(n + 1, 50.0 + n % 20, after_s=n) for n in range(60)]
    await record(database, events, batch_size=7)
    await record(database, [event._replace(unit_id="gate-b") for event in events])
    first, second = await database.read(lambda session: session.exec(select(Minute)).all())
    assert (first.at, first.count, first.lp_max, first.lp_min) == (START, 60, 69.0, 50.0)
    assert (second.count, second.lp_max, second.lp_min) == (60, 69.0, 50.0)
    assert first.leq_lp == pytest.approx(second.leq_lp)
    assert first.coverage == pytest.approx(1.0)


async def test_a_restart_within_a_minute_goes_on_with_it(database: Database) -> None:
    await record(database, [snapshot(n + 1, 50.0, after_s=n) for n in range(30)])
    await record(database, [snapshot(n + 1, 70.0, after_s=n) for n in range(30, 60)])
    (minute,) = await database.read(lambda session: session.exec(select(Minute)).all())
    assert (minute.count, minute.lp_max, minute.lp_min) == (60, 70.0, 50.0)
    assert minute.leq_lp == pytest.approx(67.033, abs=0.001)
    assert minute.coverage == pytest.approx(1.0)


async def test_minutes_without_a_level_have_none(database: Database) -> None:
    await record(database, [snapshot(1, None), snapshot(2, None)], batch_size=1)
    (minute,) = await database.read(lambda session: session.exec(select(Minute)).all())
    assert (minute.leq_lp, minute.lp_max, minute.lp_min, minute.count) == (None, None, None, 2)


async def test_a_level_after_none_is_taken_over(database: Database) -> None:
    await record(database, [snapshot(1, None), snapshot(2, 55.0), snapshot(3, None)], batch_size=1)
    (minute,) = await database.read(lambda session: session.exec(select(Minute)).all())
    assert (minute.lp_max, minute.lp_min, minute.count) == (55.0, 55.0, 3)
    assert minute.leq_lp == pytest.approx(55.0)


async def test_a_full_disk_keeps_the_rows_until_there_is_room(sqlite: Database) -> None:
    def limit(pages: int) -> Callable[[Session], object]:
        return lambda session: session.execute(text(f"PRAGMA max_page_count={pages}")).scalar()

    async with recording(sqlite) as (recorder, watch):
        await sqlite.write(limit(1))  # no more than what the file has now
        for n in range(1, 3001):
            recorder.offer_nowait(snapshot(n))
        await watch.until(lambda: bool(watch.troubles))
        assert watch.troubles == [(True, "disk full")]
        assert recorder.failure == "disk full"
        recorder.offer_nowait(snapshot(3001))
        await sqlite.write(limit(1_000_000))
        await watch.until(lambda: watch.rows == 3001)
        assert watch.troubles[-1] == (False, "")
    assert await sqlite.read(sequences) == list(range(1, 3002))
    assert recorder.dropped == 0


async def test_a_locked_database_keeps_the_rows_until_it_is_free(sqlite: Database) -> None:
    path = await sqlite.read(lambda session: session.connection().engine.url.database)
    other = sqlite3.connect(str(path), isolation_level=None)
    async with recording(sqlite) as (recorder, watch):
        other.execute("BEGIN IMMEDIATE")
        recorder.offer_nowait(snapshot(1))
        await watch.until(lambda: bool(watch.troubles))
        assert watch.troubles == [(True, "locked")]
        recorder.offer_nowait(snapshot(2))
        other.execute("ROLLBACK")
        await watch.until(lambda: watch.rows == 2)
    other.close()
    assert await sqlite.read(sequences) == [1, 2]


async def test_a_commit_whose_answer_was_lost_is_not_repeated(database: Database) -> None:
    write = database.write
    answers_lost = 0

    async def lossy_write(work: Any, *, durable: bool = False) -> Any:
        nonlocal answers_lost
        result = await write(work, durable=durable)
        if answers_lost < 2:
            answers_lost += 1
            raise OperationalError("COMMIT", None, sqlite3.OperationalError("connection lost"))
        return result

    async with recording(database) as (recorder, watch):
        database.write = lossy_write  # type: ignore[method-assign]
        for n in range(1, 11):
            recorder.offer_nowait(snapshot(n))
        recorder.offer_nowait(change(3, "ok", "unreachable"))
        await watch.until(lambda: watch.rows == 10)
        database.write = write  # type: ignore[method-assign]
    assert await database.read(sequences) == list(range(1, 11))
    (minute,) = await database.read(lambda session: session.exec(select(Minute)).all())
    assert minute.count == 10
    assert len(await database.read(lambda session: session.exec(select(StoredStateChange)).all())) == 1


async def test_a_connection_that_is_cut_is_replaced(postgres: Database) -> None:
    async with recording(postgres) as (recorder, watch):
        recorder.offer_nowait(snapshot(1))
        await watch.until(lambda: watch.rows == 1)
        writer = await postgres.write(lambda session: session.execute(text("SELECT pg_backend_pid()")).scalar_one())
        cut = text(f"SELECT pg_terminate_backend({writer})")
        assert await postgres.write(lambda session: session.execute(cut).scalar(), durable=True) is True
        recorder.offer_nowait(snapshot(2))
        await watch.until(lambda: watch.rows == 2)
    assert await postgres.read(sequences) == [1, 2]


async def test_a_full_buffer_loses_the_oldest_and_counts_them(sqlite: Database) -> None:
    async with recording(sqlite, interval_s=60.0, size=5) as (recorder, _):
        for n in range(1, 9):
            recorder.offer_nowait(snapshot(n))
        assert (recorder.pending, recorder.dropped) == (5, 3)
    assert await sqlite.read(sequences) == [4, 5, 6, 7, 8]


async def test_stopping_writes_what_is_left(database: Database) -> None:
    recorder = await record(database, [snapshot(n) for n in range(1, 5001)], interval_s=60.0)
    assert (recorder.pending, recorder.written) == (0, 5000)
    assert len(await database.read(sequences)) == 5000


async def test_stopping_gives_up_in_time_when_the_database_is_gone(sqlite: Database) -> None:
    await sqlite.write(lambda session: session.execute(text("ALTER TABLE readings RENAME TO away")))
    with takes_less_than(5):
        recorder = await record(sqlite, [snapshot(1)], drain_s=0.1)
    assert recorder.pending == 1


async def test_the_latency_is_the_age_of_the_oldest_reading(sqlite: Database) -> None:
    clock = Clock()
    async with recording(sqlite) as (recorder, watch):
        recorder.offer_nowait(snapshot(1, at=clock.now() - timedelta(seconds=2)))
        recorder.offer_nowait(snapshot(2, at=clock.now()))
        await watch.until(lambda: watch.rows == 2)
    assert 2.0 <= watch.latencies[0] < 5.0


async def test_sequences_of_a_later_boot_are_above_all_of_an_earlier_one(database: Database) -> None:
    boots = [await database.write(lambda session: register_boot(session, START, "1")) for _ in range(3)]
    firsts = [sequence_base(boot) + 1 for boot in boots]
    assert firsts == sorted(set(firsts))
    assert all(later - earlier == 1 << 32 for earlier, later in pairwise(firsts))
