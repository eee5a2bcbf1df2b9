"""SQLite's log is kept short, and a foreign reader that keeps it long is reported."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hub.database import checkpoints
from hub.database.checkpoints import PINNED, LogState, is_pinned
from hub.database.database import Database

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("pages", "moved", "pinned"), [(60_000, 10, True), (60_000, 60_000, False), (20_000, 10, False)]
)
def test_a_long_log_that_could_not_be_moved_is_pinned(pages: int, moved: int, pinned: bool) -> None:
    assert is_pinned(LogState(pages, moved, 2048)) is pinned


def grow(session: Session) -> None:
    session.execute(text("CREATE TABLE IF NOT EXISTS weight (of BLOB)"))
    session.execute(text("INSERT INTO weight VALUES (zeroblob(200000))"))


async def test_a_foreign_reader_that_pins_the_log_is_reported_until_it_ends(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_LONG_PAGES", 50)
    monkeypatch.setattr(checkpoints, "_PINNED_PAGES", 200)
    now_s = 0.0
    sqlite.outcomes.clock_s = lambda: now_s
    await sqlite.checkpoints.checkpoint()
    with closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM boots").fetchall()
        for now_s in (0.0, 5.0):  # noqa: B007
            for _ in range(3):
                await sqlite.write(grow)
            await sqlite.checkpoints.checkpoint()
        assert sqlite.outcomes.failing == {"log": PINNED}
        assert sqlite.checkpoints.log_bytes > 1_000_000
        reader.execute("ROLLBACK")
    for now_s in (10.0, 15.0):  # noqa: B007
        await sqlite.checkpoints.checkpoint()
        await sqlite.write(grow)
    assert sqlite.outcomes.failing == {}
    await sqlite.checkpoints.checkpoint()
    assert sqlite.checkpoints.log_bytes < 1_000_000


async def test_a_checkpoint_that_is_refused_is_noted_and_no_crash(sqlite: Database, tmp_path: Path) -> None:
    now_s = 0.0
    sqlite.outcomes.clock_s = lambda: now_s
    for now_s in (0.0, 5.0):  # noqa: B007
        sqlite.sessions.close()
        path = tmp_path / "hub.db"
        path.write_bytes(b"a letter to the council, quite long enough to fill a header" * 20)
        await sqlite.checkpoints.checkpoint()
    assert sqlite.outcomes.failing == {"log": "damaged"}


async def test_checkpoints_take_no_session_of_peoples_queries(
    sqlite: Database,
) -> None:
    before = sqlite.sessions.engines.queries.pool.status()
    await sqlite.checkpoints.checkpoint()
    assert sqlite.sessions.engines.queries.pool.status() == before
