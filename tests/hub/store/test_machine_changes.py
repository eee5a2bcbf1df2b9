"""Changes of machines: stored in order, read back at a start, deleted with age but for the last of each."""

from datetime import timedelta

import anyio
import pytest
from sqlmodel import Session, select

from hub.database.database import Database
from hub.readings.snapshot import MachineChange
from hub.runtime.clock import Clock
from hub.store.recorder import Recorder
from hub.store.retention import delete_machine_changes
from hub.store.tables import StoredMachineChange, last_machine_statuses, register_boot
from tests.hub.store.events import START

pytestmark = pytest.mark.anyio


def change(
    number: int, old: str | None, new: str | None, hour: int = 0, reason: str | None = None
) -> MachineChange:
    return MachineChange(f"equipment/fab/{number:016x}", old, new, START + timedelta(hours=hour), reason)


async def store(database: Database, *changes: MachineChange) -> None:
    boot = await database.write(lambda session: register_boot(session, START, "1"))
    recorder = Recorder(database, boot, Clock(), interval_s=0.005)
    for one in changes:
        recorder.offer_nowait(one)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run)
        tasks.cancel_scope.cancel()
    assert recorder.pending == 0


def rows(session: Session) -> list[tuple[str, str | None, str | None, str | None]]:
    stored = session.exec(select(StoredMachineChange).order_by("id"))
    return [(one.subject[-1], one.old, one.new, one.reason) for one in stored]


async def test_changes_are_stored_in_their_order(database: Database) -> None:
    await store(
        database, change(1, None, "PRD"), change(1, "PRD", "UDT", 1, "Vacuum\0 low"), change(2, None, "設備-RUN")
    )
    assert await database.read(rows) == [
        ("1", None, "PRD", None),
        ("1", "PRD", "UDT", "Vacuum low"),
        ("2", None, "設備-RUN", None),
    ]


async def test_the_last_statuses_are_those_that_history_ends_with(database: Database) -> None:
    await store(
        database,
        change(1, None, "PRD", 5),
        change(2, None, "SBY"),
        change(3, None, "EGT"),
        change(1, "PRD", "UDT", 1),  # the clock was set back meanwhile
        change(3, "EGT", None),
    )
    assert await database.read(last_machine_statuses) == {
        f"equipment/fab/{1:016x}": "UDT",
        f"equipment/fab/{2:016x}": "SBY",
    }


async def test_no_rows_are_no_statuses(database: Database) -> None:
    assert await database.read(last_machine_statuses) == {}


async def test_old_changes_go_in_chunks_and_the_last_of_a_machine_stays(database: Database) -> None:
    await store(
        database,
        change(1, None, "NST", 0),  # and has been since
        change(2, None, "PRD", 1),
        change(2, "PRD", "SBY", 2),
        change(2, "SBY", "PRD", 3),
        change(2, "PRD", "UDT", 9),
    )
    before = START + timedelta(hours=5)
    gone = [await database.write(lambda session: delete_machine_changes(session, before, 2)) for _ in range(3)]
    assert gone == [2, 1, 0]
    assert [(subject, new) for subject, _, new, _ in await database.read(rows)] == [("1", "NST"), ("2", "UDT")]
    late = START + timedelta(hours=20)
    assert await database.write(lambda session: delete_machine_changes(session, late, 10)) == 0
