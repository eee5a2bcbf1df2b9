"""Export: CSV with one header, unit by unit, a page at a time."""

import csv
import io
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from hub.database.database import Database
from hub.nl43.labels import labels
from hub.store.batch import BatchMaker, sqlite_time
from hub.store.export import ExportedUnit, export_rows
from hub.store.insert import write_batch
from hub.store.meter_settings import save_settings
from hub.store.tables import StoredMeterSetting
from tests.hub.store.events import START, snapshot

pytestmark = pytest.mark.anyio


def meter(unit_id: str, name: str = "") -> ExportedUnit:
    return ExportedUnit(unit_id, name or unit_id, labels)


METERS = (meter("gate-a"), meter("none"), meter("gate-b"))


async def export(
    database: Database, units: Sequence[ExportedUnit] = METERS, **how: Any
) -> tuple[list[str], list[dict[str, str]]]:
    to_at = START + timedelta(hours=2)
    pieces = [piece async for piece in export_rows(database, units, START, to_at, **how)]
    return pieces, list(csv.DictReader(io.StringIO("".join(pieces))))


async def test_every_reading_is_a_line_under_one_header(database: Database) -> None:
    maker = BatchMaker(sqlite_time if database.dialect == "sqlite" else lambda at: at)
    events = [snapshot(n, unit_id=unit) for unit in ("gate-a", "gate-b") for n in range(1, 3001)]
    await database.write(lambda session: write_batch(session, maker.make(events)))
    pieces, rows = await export(database)
    assert [(row["unit_id"], int(row["sequence"])) for row in rows] == [(e.unit_id, e.sequence) for e in events]
    assert len(pieces) == 4
    assert rows[0]["at"] == "2026-03-18T22:00:01.000Z"
    _, minutes = await export(database, step_s=60)
    assert sum(int(row["count"]) for row in minutes) == 6000


async def test_an_unknown_level_is_an_empty_cell(sqlite: Database) -> None:
    one = snapshot(1, None, quality=("missing", "frozen"))
    await sqlite.write(lambda session: write_batch(session, BatchMaker(sqlite_time).make([one])))
    _, (row,) = await export(sqlite, metrics=["lp"])
    assert (row["lp"], row["quality"]) == ("", "missing frozen")


async def test_nothing_stored_is_a_header_alone(sqlite: Database) -> None:
    (header,), rows = await export(sqlite)
    assert header.startswith("unit_id,at,sequence,lp,")
    assert header.endswith(",name,lp_label,leq_label\n")
    assert rows == []


async def test_a_line_has_the_units_name_and_the_symbols_of_the_weighting_known_at_that_time(
    database: Database,
) -> None:
    maker = BatchMaker(sqlite_time if database.dialect == "sqlite" else lambda at: at)
    events = [snapshot(n) for n in range(1, 6)]
    await database.write(lambda session: write_batch(session, maker.make(events)))
    settings = [
        StoredMeterSetting(
            unit_id="gate-a", name=name, value=value, asked_at=events[4].at, since_at=events[since].at
        )
        for name, value, since in (("Frequency Weighting (Main)", "C", 2), ("Time Weighting (Main)", "S", 3))
    ]
    await database.write(lambda session: save_settings(session, "gate-a", settings))
    _, rows = await export(database, [meter("gate-a", "Gate A, north")])
    assert {row["name"] for row in rows} == {"Gate A, north"}
    assert [row["lp_label"] for row in rows] == ["Lp", "Lp", "LC", "LCS", "LCS"]
    assert [row["leq_label"] for row in rows] == ["Leq", "Leq", "LCeq", "LCeq", "LCeq"]
    _, (step, *_) = await export(database, step_s=60)
    assert (step["name"], step["lp_label"]) == ("gate-a", "Lp")
