"""Transitions are committed and announced, with a database and without one."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from sqlalchemy import func, text
from sqlmodel import Session, col, select
from trio.testing import MockClock

from alerts.model.delivery import Delivery
from alerts.store.tables import AlertRow, AlertStateRow, DeliveryRow, TransitionRow
from tests.alerts.bench import Bench, RecordingDispatcher, running
from tests.alerts.fakes import SqliteDatabase

pytestmark = pytest.mark.anyio

T = TypeVar("T")
TRANSITIONS = select(func.count()).select_from(TransitionRow)
STATES = select(func.count()).select_from(AlertStateRow)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "alerts.db", inline=True)


async def test_a_transition_is_announced_once_it_is_committed(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        database.gate = anyio.Event()
        bench.hear(66.2)
        await anyio.sleep(1)
        assert bench.ops.offered == []
        database.gate.set()
        await anyio.sleep(0.1)
        assert bench.ops.types == [("alert.onset", True)]
        assert database.durable_writes == 1
        delivery = bench.ops.offered[0][0]
        row = database.run(lambda s: s.exec(select(DeliveryRow)).one())
        assert (row.id, row.body) == (delivery.id, None)
        document = database.run(lambda s: s.exec(select(TransitionRow.document)).one())
        assert document == delivery.document
        assert '"summary":"gate-a (Gate A) LCeq,15min 66.2 dB > 65.0 dB"' in delivery.document
        assert '"subject":"gate-a","name":"Gate A"' in delivery.document
        assert '"metric_label":"LCeq,15min"' in delivery.document
        assert '"decision_to_commit":' in delivery.document
    assert bench.site.offered == []
    assert {name for name, _ in bench.latencies} == {"sample_to_decision", "decision_to_commit", "commit"}


async def test_many_transitions_share_one_commit(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        for n in range(100):
            bench.hear(70.0, f"unit/u{n}")
        await anyio.sleep(0.1)
        assert len(bench.ops.offered) == 100
        assert database.durable_writes == 1


async def test_peaks_are_stored_within_a_second(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        bench.hear(66.0)
        await anyio.sleep(0.1)
        bench.hear(71.5)
        await anyio.sleep(1.1)
        assert database.run(lambda s: s.exec(select(AlertRow)).one()).peak == "71.5"
        assert database.durable_writes == 1


async def test_without_a_database_transitions_are_announced_from_memory_and_written_later(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database)) as bench:
        database.is_down = True
        bench.hear(66.0)
        await anyio.sleep(1.5)
        assert bench.ops.offered == []
        await anyio.sleep(1)
        assert bench.ops.types == [("alert.onset", False), ("alert.onset", False)]
        assert '"persisted":false' in bench.ops.offered[0][0].document
        assert "storage-failing" in bench.ops.offered[1][0].document
        assert bench.site.types == [("alert.onset", False)]
        bench.hear(60.0)
        await anyio.sleep(0.05)
        assert bench.ops.types[2:] == [("alert.clear", False)]
        database.is_down = False
        await anyio.sleep(1)
        assert bench.ops.types[3:] == [("alert.clear", True)]
        assert bench.ops.looks > 0
    rows = database.run(lambda s: s.exec(select(TransitionRow)).all())
    assert sorted((row.type, row.persisted) for row in rows) == [
        ("alert.clear", False),
        ("alert.clear", True),
        ("alert.onset", False),
        ("alert.onset", False),
    ]
    stored = {(row.alert_id, row.sequence): row.document for row in rows}
    assert all(stored[str(d.alert_id), d.sequence] == d.document for d, _ in bench.ops.offered)


async def test_a_commit_that_hangs_delays_the_alarm_by_two_seconds_only(database: SqliteDatabase) -> None:
    async with running(Bench(database)) as bench:
        database.gate = anyio.Event()
        bench.hear(66.0)
        await anyio.sleep(2.5)
        assert bench.ops.types[0] == ("alert.onset", False)
        database.gate.set()
        await anyio.sleep(1)
        first = [d for d, _ in bench.ops.offered if "night-limit" in d.document]
        assert len(first) == 1
        assert bench.ops.looks > 0


async def test_a_state_is_never_stored_ahead_of_the_transition_that_led_to_it(tmp_path: Path) -> None:
    counts = []

    class Watched(SqliteDatabase):
        def run(self, work: Callable[[Session], T]) -> T:
            result = super().run(work)
            counts.append(super().run(lambda s: (s.exec(TRANSITIONS).one(), s.exec(STATES).one())))
            return result

    async with running(Bench(Watched(tmp_path / "alerts.db", inline=True))) as bench:
        for n in range(3000):  # more than one transaction takes
            bench.hear(70.0, f"unit/u{n}")
        await anyio.sleep(0.1)
    assert counts[-1] == (3000, 3000)
    assert len(set(counts)) > 3
    assert all(transitions == states for transitions, states in counts)


async def test_a_commit_that_waited_while_the_hub_stood_still_is_no_failure_of_the_storage(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database)) as bench:
        database.gate = anyio.Event()
        bench.hear(66.2)
        await anyio.sleep(1.5)
        bench.resumed_s = bench.clock.time()
        await anyio.sleep(1.5)
        assert not bench.alerts.is_storage_failing
        await anyio.sleep(1)
        assert bench.alerts.is_storage_failing


async def test_a_transition_that_no_database_takes_is_announced_and_holds_up_no_other(
    database: SqliteDatabase,
) -> None:
    database.run(
        lambda s: s.execute(
            text(
                "CREATE TRIGGER no BEFORE INSERT ON transitions WHEN new.alert LIKE '%poison%'"
                " BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        )
    )
    async with running(Bench(database)) as bench:
        for subject in ("unit/a", "unit/poison", "unit/b"):
            bench.hear(66.2, subject)
        await anyio.sleep(1)
        messages = {one["alert"]["subject"]: one for one in (json.loads(d.document) for d, _ in bench.ops.offered)}
        assert {subject: message["persisted"] for subject, message in messages.items()} == {
            "a": True,
            "b": True,
            "poison": False,
        }
        assert not bench.alerts.is_storage_failing
        assert bench.alerts.counts.set_aside == 1
        bench.hear(66.2, "unit/c")
        await anyio.sleep(1)
        assert len(bench.ops.offered) == 4
    stored = database.run(lambda s: [row.subject for row in s.exec(select(AlertRow).order_by(AlertRow.subject))])
    assert stored == ["unit/a", "unit/b", "unit/c", "unit/poison"]
    assert [(one.table, one.reason) for one in database.refused] == [("transitions", "IntegrityError")]


async def test_a_comment_with_what_not_every_database_can_hold_is_stored_all_the_same(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database)) as bench:
        bench.hear(66.2)
        await anyio.sleep(1)
        alert = bench.alert
        assert alert.id is not None
        bench.alerts.acknowledge(alert.id, "shift", "half \ud800 and \0")
        await anyio.sleep(1)
        row = database.run(lambda s: s.exec(select(AlertRow)).one())
        stored = database.run(lambda s: s.exec(select(TransitionRow).order_by(col(TransitionRow.sequence))).all())
    assert row.comment == "half \ufffd and \ufffd"
    assert stored[1].document == bench.ops.offered[1][0].document
    assert json.loads(stored[1].document or "")["comment"] == "half \ufffd and \0"
    assert not bench.alerts.is_storage_failing


async def test_where_too_much_waits_the_oldest_transition_is_announced_and_counted_as_lost(
    database: SqliteDatabase,
) -> None:
    async with running(Bench(database, room=2)) as bench:
        database.gate = anyio.Event()
        for subject in ("unit/a", "unit/b", "unit/c"):
            bench.hear(66.0, subject)
            await anyio.sleep(0.1)
        assert bench.alerts.counts.lost_transitions == 1
        [(oldest, is_persisted)] = bench.ops.offered
        assert (json.loads(oldest.document)["alert"]["subject"], is_persisted) == ("a", False)
        database.gate.set()
        await anyio.sleep(1)
        assert bench.ops.types == [("alert.onset", False), ("alert.onset", True), ("alert.onset", True)]


async def test_what_a_commit_announces_is_what_it_stored_though_the_time_of_it_could_not_be(tmp_path: Path) -> None:
    class Failing(SqliteDatabase):
        def run(self, work: Callable[[Session], T]) -> T:
            if work.__name__ == "store_documents":
                super().run(work)
                self.is_down = True
            try:
                return super().run(work)
            finally:
                self.is_down = False

    database = Failing(tmp_path / "alerts.db", inline=True)
    async with running(Bench(database)) as bench:
        bench.hear(66.0)
        await anyio.sleep(0.1)
    [(delivery, _)] = bench.ops.offered
    assert '"decision_to_commit":null' in delivery.document


async def test_all_that_was_decided_is_committed_at_the_end(database: SqliteDatabase) -> None:
    bench = Bench(database)
    async with running(bench):
        await anyio.sleep(1)
        database.gate = anyio.Event()
        for n in range(2500):
            bench.hear(70.0, f"unit/u{n}")
        await anyio.sleep(0.1)
        database.gate = None
    assert database.run(lambda s: s.exec(TRANSITIONS).one()) == 2500
    assert bench.alerts.pending == 0


async def test_a_storm_without_a_database_is_announced_in_order_and_leaves_others_their_turn(
    database: SqliteDatabase,
) -> None:
    seen, failed = set[int](), anyio.Event()

    async def watch() -> None:
        await failed.wait()
        while len(bench.ops.offered) < 1000:
            seen.add(len(bench.ops.offered))
            await anyio.lowlevel.checkpoint()

    class Watched(RecordingDispatcher):
        def offer(self, deliveries: Iterable[Delivery], persisted: bool = True) -> None:
            super().offer(deliveries, persisted)
            failed.set()

    bench = Bench(database)
    bench.ops.__class__ = Watched
    async with running(bench), anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        database.gate = anyio.Event()
        for n in range(1000):
            bench.hear(70.0, f"unit/u{n}")
        await anyio.sleep(5)
        database.gate.set()
        await anyio.sleep(1)
    assert len(seen) > 5
    subjects = [json.loads(delivery.document)["alert"]["subject"] for delivery, _ in bench.ops.offered]
    assert [one for one in subjects if one.startswith("u")] == [f"u{n}" for n in range(1000)]
