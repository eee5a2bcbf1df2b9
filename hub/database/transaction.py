"""One transaction on an engine, and what its errors mean for the session it ran in."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session

T = TypeVar("T")

_USELESS_STATES = (
    "25006",  # read-only: the server has handed over to another one
    "25P",  # the session sits in a transaction that has failed
    "57P",  # shut down, crashed, starting, dropped, idle for too long
    "08",  # connection
    "0A000",  # a prepared plan that does not fit the tables any more
    "26000", "42P05",  # prepared statements that a pooler has mixed up
)  # fmt: skip
_USELESS_NAMES = ("SQLITE_READONLY", "SQLITE_CANTOPEN")


class Refusal(Exception):
    """Why the hub itself does not put a transaction to the database."""


def refusal(reason: str) -> DBAPIError:
    """An error as the driver's own are, so that callers keep what they have and try again."""
    return OperationalError(None, None, Refusal(reason))


def run_transaction(engine: Engine, work: Callable[[Session], T]) -> T:
    """Runs `work` and commits. Raises DBAPIError, and what `work` raises."""
    driver = engine.dialect.loaded_dbapi
    try:
        with Session(engine, expire_on_commit=False) as session:
            result = work(session)
            session.commit()
            return result
    except driver.Error as error:  # from work that speaks to the driver itself, such as COPY
        raise DBAPIError.instance(None, None, error, driver.Error, dialect=engine.dialect) from error


def run_raw(engine: Engine, work: Callable[[Any], T]) -> T:
    """Runs `work` on a connection of the driver, outside of any transaction. Raises DBAPIError."""
    driver = engine.dialect.loaded_dbapi
    try:
        with engine.connect() as connection:
            return work(connection.connection.driver_connection)
    except driver.Error as error:
        raise DBAPIError.instance(None, None, error, driver.Error, dialect=engine.dialect) from error


def is_session_useless(error: DBAPIError) -> bool:
    """Whether a new session may do what this one did not: its server went, stepped down, or lost its statements."""
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
