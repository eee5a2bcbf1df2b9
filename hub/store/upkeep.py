"""Watches the database while the hub runs: its lock, its file, its log, and whether each part of it works."""

from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import anyio
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hub.database.checks import TABLES, touch
from hub.database.database import Database
from hub.database.errors import describe_error
from hub.database.file import LOG_GONE, REPLACED

_CLAIM_EVERY_S = 5.0
_FILE_EVERY_S = 1.0
_SETTLE_EVERY_S = 1.0
_CHECK_EVERY = 5  # times that


async def run_guard(database: Database) -> NoReturn:
    """Keep the lock across restarts of the server. Raises DatabaseInUse when another hub has acquired it."""
    while True:
        with suppress(DBAPIError):  # without a server nothing is written, and every writer reports that
            await database.acquire_lock()
        await anyio.sleep(_CLAIM_EVERY_S)


async def run_checks(database: Database, on_look: Callable[[], None] = lambda: None) -> NoReturn:
    """Check every part of the storage every 5 s; calls `on_look` every second."""
    while True:
        for _ in range(_CHECK_EVERY):
            await anyio.sleep(_SETTLE_EVERY_S)
            database.outcomes.settle()
            on_look()
        await check_storage(database)


async def check_storage(database: Database) -> None:
    """Read from every table and commit to the disk, and record what fails."""
    try:
        broken = await database.unreadable_parts()
    except DBAPIError as error:
        broken = dict.fromkeys(TABLES, describe_error(error))
    for part in TABLES:
        if part in broken:
            database.outcomes.failed(part, "read", broken[part])
        else:
            database.outcomes.worked(part, "read")
    with suppress(DBAPIError):  # recorded
        await database.of("commits").write(touch, durable=True)


async def run_file_watch(database: Database, prepare: Callable[[Session], object]) -> NoReturn:
    """SQLite: refuses to write into a file that was deleted, moved or emptied, and takes up its successor.

    `prepare` brings the successor up to date. Raises DatabaseInUse when another hub works on that.
    """
    while True:
        await anyio.sleep(_FILE_EVERY_S)
        await look_at_file(database, prepare)


async def look_at_file(database: Database, prepare: Callable[[Session], object]) -> None:
    """One look of `run_file_watch`."""
    file, outcomes = database.file, database.outcomes
    if file is None:
        return
    failure = await database.run_in_thread(file.check)
    if file.is_lost:
        await database.run_exclusive(database.sessions.restore_file)
    if failure == REPLACED:
        failure = await database.run_exclusive(lambda: database.sessions.switch_file(prepare))
    if failure is None:
        outcomes.worked("file", "look")
    else:
        outcomes.failed("file", "look", failure)
    if file.is_log_lost:
        outcomes.failed("log", "look", LOG_GONE)
