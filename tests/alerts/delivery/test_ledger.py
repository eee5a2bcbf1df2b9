from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from sqlmodel import select
from trio.testing import MockClock

from alerts.delivery.ledger import Ledger
from alerts.model.delivery import Attempt, Delivery
from alerts.store import queries as archive
from alerts.store.tables import AttemptRow
from tests.alerts.fakes import START, SqliteDatabase

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


@pytest.fixture
def database(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "alerts.db", inline=True)


def delivery(number: int) -> Delivery:
    return Delivery(f"d{number}", "ops", "test", START, b"{}")


async def test_marks_of_a_moment_share_a_transaction_and_changes_come_after_them(database: SqliteDatabase) -> None:
    ledger, seen = Ledger(database), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ledger.run)
        for number in range(5):
            ledger.note(delivery(number), Attempt(f"d{number}", 1, START, 0.1, 204))
        ledger.then(lambda session: seen.append(len(archive.list_deliveries(session).items)))
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert seen == [5]
    assert len(ledger) == 0


async def test_nothing_is_let_go_before_it_is_committed(database: SqliteDatabase) -> None:
    ledger = Ledger(database)
    ledger.note(delivery(1), Attempt("d1", 1, START, 0.1, 500))
    database.is_down = True
    assert not await ledger.flush()
    assert len(ledger) == 1
    database.is_down = False
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ledger.run)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    assert len(ledger) == 0
    assert database.run(lambda s: s.exec(select(AttemptRow.status)).one()) == 500


async def test_the_newest_mark_of_a_delivery_counts(database: SqliteDatabase) -> None:
    ledger = Ledger(database)
    for body in (b"1", b"2"):
        ledger.note(Delivery("d1", "ops", "test", START, body))
    assert await ledger.flush()
    assert [told.delivery.body for told in database.run(archive.list_deliveries).items] == ["2"]


async def test_beyond_its_bound_the_oldest_mark_goes_and_is_counted(database: SqliteDatabase) -> None:
    ledger = Ledger(database, most=3)
    for number in range(5):
        ledger.note(delivery(number))
    assert ledger.dropped == 2
    assert await ledger.flush()
    assert {told.delivery.id for told in database.run(archive.list_deliveries).items} == {"d2", "d3", "d4"}


async def test_two_flushes_at_once_keep_an_attempt_once(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "alerts.db", inline=True)
    ledger = Ledger(database)
    database.gate = anyio.Event()
    ledger.note(delivery(1), Attempt("d1", 1, START, 0.1, 204))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ledger.flush)
        tasks.start_soon(ledger.flush)
        await anyio.sleep(1)
        database.gate.set()
    assert len(database.run(lambda s: s.exec(select(AttemptRow)).all())) == 1


async def test_a_mark_that_no_database_takes_is_set_aside_and_holds_up_no_other(database: SqliteDatabase) -> None:
    database.run(
        lambda session: session.execute(
            text(
                "CREATE TRIGGER no BEFORE INSERT ON attempts WHEN new.error = 'poison'"
                " BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        )
    )
    ledger = Ledger(database)
    for number, error in enumerate((None, "poison", "refused")):
        ledger.note(delivery(number), Attempt(f"d{number}", 1, START, 0.1, 500, error))
    assert await ledger.flush()
    assert len(ledger) == 0
    kept = database.run(lambda session: [row.error for row in session.exec(select(AttemptRow))])
    assert kept == [None, "refused"]
    assert [(one.table, one.row["error"]) for one in database.refused] == [("attempts", "poison")]
