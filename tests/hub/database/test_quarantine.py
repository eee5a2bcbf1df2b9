"""Rows that no database accepts go to the quarantine file; all other rows are stored."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from sqlmodel import Session, select

from alerts.store.unstorable import Refused
from hub.database.database import Database
from hub.database.quarantine import FULL, Quarantine, QuarantineFull
from hub.readings.snapshot import MachineChange
from hub.store.tables import Minute, StoredReading, StoredSnapshot, StoredStateChange
from tests.hub.store.events import START, change, snapshot
from tests.hub.store.test_recorder import recording

pytestmark = pytest.mark.anyio

FAR = 1 << 70


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def units(session: Session) -> list[tuple[str, int]]:
    return sorted((row.unit_id, row.sequence) for row in session.exec(select(StoredReading)))


async def test_a_reading_that_cannot_be_stored_costs_itself(database: Database, tmp_path: Path) -> None:
    database.quarantine = Quarantine(tmp_path / "quarantine.jsonl")
    async with recording(database) as (recorder, watch):
        for number in range(1, 41):
            recorder.offer_nowait(snapshot(number, unit_id=f"unit-{number % 3}"))
        recorder.offer_nowait(snapshot(1, unit_id="far")._replace(sequence=FAR))
        recorder.offer_nowait(change(3, "ok", "unreachable"))
        await watch.until(lambda: watch.rows == 41)
        recorder.offer_nowait(snapshot(41, unit_id="unit-2"))
        recorder.offer_nowait(snapshot(42, unit_id="unit-0"))
        await watch.until(lambda: watch.rows == 43)
    assert watch.troubles == []
    assert await database.read(units) == sorted((f"unit-{n % 3}", n) for n in range(1, 43))
    kept = rows_in(tmp_path / "quarantine.jsonl")
    assert {row["table"] for row in kept} == {"readings", "snapshots"}
    assert {row["row"]["sequence"] for row in kept} == {FAR}
    assert database.quarantine.counts["readings"] == 1
    latest = await database.read(lambda session: session.exec(select(StoredSnapshot.unit_id)).all())
    assert sorted(latest) == ["unit-0", "unit-1", "unit-2"]
    counted = await database.read(lambda session: sum(row.count for row in session.exec(select(Minute))))
    assert counted == 43, "minutes count every reading once, the halves of a batch too"
    assert len(await database.read(lambda session: session.exec(select(StoredStateChange)).all())) == 1


@pytest.mark.parametrize("bad", ["a\0b", "half a character \ud800"])
async def test_a_text_that_not_everybody_can_store_is_mended(database: Database, bad: str) -> None:
    async with recording(database) as (recorder, _):
        recorder.offer_nowait(change(1, bad, bad)._replace(reason=bad))
        recorder.offer_nowait(MachineChange(f"equipment/fab/{bad}", bad, bad, START, bad))
        recorder.offer_nowait(snapshot(1, quality=(bad,), raw=bad))
    assert recorder.pending == 0
    assert database.quarantine.counts == {}


async def test_a_row_against_a_foreign_constraint_loses_only_itself(sqlite: Database) -> None:
    await sqlite.write(
        lambda session: session.execute(
            text(
                "CREATE TRIGGER no BEFORE INSERT ON machine_status_changes WHEN new.new = 'LOST'"
                " BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        )
    )
    async with recording(sqlite) as (recorder, _):
        for number, status in enumerate(("PRD", "LOST", "UDT")):
            at = START + timedelta(seconds=number)
            recorder.offer_nowait(MachineChange("equipment/fab/1", None, status, at, None))
    found = await sqlite.read(
        lambda session: [row[0] for row in session.execute(text("SELECT new FROM machine_status_changes"))]
    )
    assert found == ["PRD", "UDT"]
    assert sqlite.quarantine.counts == {"machine_status_changes": 1}


async def test_a_level_that_cannot_be_reckoned_with_costs_its_event(sqlite: Database, tmp_path: Path) -> None:
    sqlite.quarantine = Quarantine(tmp_path / "quarantine.jsonl")
    async with recording(sqlite) as (recorder, watch):
        for number, lp in enumerate((60.0, 1e6, 61.0, -1e6), 1):
            recorder.offer_nowait(snapshot(number, lp, unit_id=f"unit-{number}"))
        await watch.until(lambda: watch.rows == 3)
    assert [unit for unit, _ in await sqlite.read(units)] == ["unit-1", "unit-3", "unit-4"]
    assert [row["reason"] for row in rows_in(tmp_path / "quarantine.jsonl")] == ["OverflowError"]


async def test_with_the_quarantine_full_rows_are_kept_in_memory(sqlite: Database, tmp_path: Path) -> None:
    path = tmp_path / "quarantine.jsonl"
    sqlite.quarantine = Quarantine(path, most_bytes=10)
    async with recording(sqlite) as (recorder, watch):
        recorder.offer_nowait(snapshot(1)._replace(sequence=FAR))
        recorder.offer_nowait(snapshot(2))
        await watch.until(lambda: watch.troubles == [(True, FULL)])
        assert recorder.pending >= 2
        sqlite.quarantine = Quarantine(path)
        await watch.until(lambda: watch.rows == 2)
    assert await sqlite.read(units) == [("gate-a", 2)]


async def test_a_row_is_logged_once_per_reason_and_the_file_is_the_users_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "quarantine.jsonl"
    quarantine = Quarantine(path, most_bytes=2000)
    with pytest.raises(QuarantineFull):
        for number in range(100):
            quarantine.add([Refused("readings", {"n": number, "at": datetime.now(UTC)}, "DataError")])
    assert 0 < quarantine.counts["readings"] < 30
    assert len(rows_in(path)) == quarantine.counts["readings"]
    assert "".join(capsys.readouterr()).count("no database accepts it") == 1
    assert stat.S_IMODE(await anyio.to_thread.run_sync(lambda: path.stat().st_mode)) == 0o600
    assert quarantine.check_empty() is False
    path.unlink()
    assert quarantine.check_empty() is True


@pytest.mark.parametrize("value", ["x" * 300_000, b"x" * 300_000, 16**300_000], ids=["text", "bytes", "number"])
def test_a_row_that_is_too_long_does_not_fill_the_quarantine(tmp_path: Path, value: object) -> None:
    quarantine = Quarantine(tmp_path / "quarantine.jsonl")
    for _ in range(64):
        quarantine.add([Refused("readings", {"n": 1, "reason": value, "level": 60.5}, "ProgramLimitExceeded")])
    row = rows_in(tmp_path / "quarantine.jsonl")[0]["row"]
    assert (row["n"], row["level"]) == (1, 60.5)
    assert row["reason"].endswith(" characters)")
