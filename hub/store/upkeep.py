"""What looks after the database while the hub runs: its claim, its file, its log, and whether it keeps promises."""

from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import anyio
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hub.database.checks import TABLES, touch
from hub.database.database import Database
from hub.database.errors import describe_trouble
from hub.database.file import LOG_GONE, REPLACED

_CLAIM_EVERY_S = 5.0
_FILE_EVERY_S = 1.0
_SETTLE_EVERY_S = 1.0
_CHECK_EVERY = 5  # times that


async def run_guard(database: Database) -> NoReturn:
    """Keeps the claim while the server comes and goes. Raises DatabaseTaken when another hub got in between."""
    while True:
        with suppress(DBAPIError):  # no server, no writes by anybody: whoever writes reports it
            await database.claim()
        await anyio.sleep(_CLAIM_EVERY_S)


async def run_checks(database: Database, on_look: Callable[[], None] = lambda: None) -> NoReturn:
    """Puts every promise to the test, also while nothing happens that would; calls `on_look` every second."""
    while True:
        for _ in range(_CHECK_EVERY):
            await anyio.sleep(_SETTLE_EVERY_S)
            database.outcomes.settle()
            on_look()
        await check_promises(database)


async def check_promises(database: Database) -> None:
    """Reads from every table and commits to the disk, and notes what cannot be done."""
    try:
        broken = await database.broken_promises()
    except DBAPIError as error:
        broken = dict.fromkeys(TABLES, describe_trouble(error))
    for promise in TABLES:
        if promise in broken:
            database.outcomes.failed(promise, "read", broken[promise])
        else:
            database.outcomes.worked(promise, "read")
    with suppress(DBAPIError):  # noted
        await database.of("commits").write(touch, durable=True)


async def run_file_watch(database: Database, prepare: Callable[[Session], object]) -> NoReturn:
    """SQLite: refuses to write into a file that was deleted, moved or emptied, and takes up its successor.

    `prepare` brings the successor up to date. Raises DatabaseTaken when another hub works on that.
    """
    while True:
        await anyio.sleep(_FILE_EVERY_S)
        await look_at_file(database, prepare)


async def look_at_file(database: Database, prepare: Callable[[Session], object]) -> None:
    """One look of `run_file_watch`."""
    file, outcomes = database.file, database.outcomes
    if file is None:
        return
    trouble = await database.beside(file.look)
    if file.is_lost:
        await database.alone(database.sessions.rescue_file)
    if trouble == REPLACED:
        trouble = await database.alone(lambda: database.sessions.take_up_file(prepare))
    if trouble is None:
        outcomes.worked("file", "look")
    else:
        outcomes.failed("file", "look", trouble)
    if file.is_log_lost:
        outcomes.failed("log", "look", LOG_GONE)
