"""Runs one transaction on an engine, and decides from an error whether its session is still usable."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session

T = TypeVar("T")

_USELESS_STATES = (
    "25006",  # read-only: another server has become the primary
    "25P",  # the session is in a transaction that has failed
    "57P",  # shut down, crashed, starting, dropped, idle for too long
    "08",  # connection
    "0A000",  # a prepared plan that does not fit the tables any more
    "26000", "42P05",  # prepared statements of another session, mixed up by a pooler
)  # fmt: skip
_USELESS_NAMES = ("SQLITE_READONLY", "SQLITE_CANTOPEN")


class Refusal(Exception):
    """Why the hub itself refuses to run a transaction."""


def refusal(reason: str) -> DBAPIError:
    """An error like the driver's own, so that callers keep their rows and retry."""
    return OperationalError(None, None, Refusal(reason))


def run_transaction(engine: Engine, work: Callable[[Session], T]) -> T:
    """Run `work` and commit. Raises DBAPIError, and what `work` raises."""
    driver = engine.dialect.loaded_dbapi
    try:
        with Session(engine, expire_on_commit=False) as session:
            result = work(session)
            session.commit()
            return result
    except driver.Error as error:  # from work that uses the driver directly, such as COPY
        raise DBAPIError.instance(None, None, error, driver.Error, dialect=engine.dialect) from error


def run_raw(engine: Engine, work: Callable[[Any], T]) -> T:
    """Run `work` on a connection of the driver, outside a transaction. Raises DBAPIError."""
    driver = engine.dialect.loaded_dbapi
    try:
        with engine.connect() as connection:
            return work(connection.connection.driver_connection)
    except driver.Error as error:
        raise DBAPIError.instance(None, None, error, driver.Error, dialect=engine.dialect) from error


def is_session_useless(error: DBAPIError) -> bool:
    """Whether a new session may succeed: the server stopped, became read-only, or lost prepared statements."""
    cause = error.orig
    name = getattr(cause, "sqlite_errorname", None)
    if name is not None:
        return str(name).startswith(_USELESS_NAMES)
    if type(cause).__module__.partition(".")[0] != "psycopg":
        return False
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_USELESS_STATES)
    return type(cause).__name__ in ("OperationalError", "InterfaceError")
