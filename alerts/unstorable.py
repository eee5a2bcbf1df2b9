"""Rows that no database takes, however often it is asked: told apart from a database that fails. Pure."""

import re

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

_CLASSES = ("22", "23", "44", "54", "P0001")
"""SQLSTATE: data exceptions, constraints, check options, program limits, and what a trigger raises."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def is_unstorable(error: BaseException) -> bool:
    """Whether the values are at fault: too long, out of range, against a constraint, or not to be encoded."""
    if isinstance(error, DataError | IntegrityError | UnicodeError | OverflowError):
        return True
    cause = error.orig if isinstance(error, StatementError) else None
    if isinstance(error, DBAPIError):
        state = getattr(cause, "sqlstate", None)
        bound = type(cause).__name__ in ("InterfaceError", "ProgrammingError") and "binding parameter" in str(cause)
        return bound or (state is not None and state.startswith(_CLASSES))
    return isinstance(cause, ValueError | TypeError | OverflowError)


def storable(text: str) -> str:
    """The text with U+FFFD for what not every database can hold: NUL, and lone halves of characters."""
    return text if text.isascii() and "\0" not in text else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
