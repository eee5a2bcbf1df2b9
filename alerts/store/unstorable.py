"""Distinguishes rows that every database refuses from a database that fails, and sets such rows aside."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy.exc import StatementError
from sqlmodel import Session

R = TypeVar("R")

_CLASSES = ("22", "23", "44", "54", "P0001")
"""SQLSTATE: data exceptions, constraints, check options, program limits, and what a trigger raises."""

_NAMES = frozenset({"DataError", "IntegrityError"})


class Refused(NamedTuple):
    """A row that was set aside, with the class of the error, which contains none of its values."""

    table: str
    row: Mapping[str, object]
    reason: str


def is_unstorable(error: BaseException) -> bool:
    """Whether the values are at fault: too long, out of range, against a constraint, or not to be encoded.

    Accepts errors of SQLAlchemy, and errors that a driver raised directly.
    """
    cause = error.orig if isinstance(error, StatementError) else error
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_CLASSES)
    if "binding parameter" in str(cause):  # SQLite: a type that it cannot store
        return True
    names = {base.__name__ for base in type(cause).__mro__}
    return isinstance(cause, UnicodeError | OverflowError | ValueError) or bool(names & _NAMES)


def reason_of(error: BaseException) -> str:
    """The class of what the driver raised, such as `NumericValueOutOfRange`."""
    return type(error.orig if isinstance(error, StatementError) else error).__name__


def write_apart(session: Session, rows: Sequence[R], write: Callable[[Sequence[R]], None]) -> list[tuple[R, str]]:
    """Write all rows except those that every database refuses; return these with the reason.

    Halves refused rows until one row is left, each half in a savepoint of the session's transaction.
    """
    if not rows:
        return []
    try:
        with session.begin_nested():
            write(rows)
        return []
    except Exception as error:
        if not is_unstorable(error):
            raise
        if len(rows) == 1:
            return [(rows[0], reason_of(error))]
    middle = len(rows) // 2
    return write_apart(session, rows[:middle], write) + write_apart(session, rows[middle:], write)
