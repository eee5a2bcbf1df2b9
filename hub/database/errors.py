"""Short names for database errors that people can act on; never a statement, a value or a password."""

import re

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from hub.database.transaction import Refusal

_SQLITE = {
    "SQLITE_FULL": "disk full",
    "SQLITE_BUSY": "locked",
    "SQLITE_LOCKED": "locked",
    "SQLITE_INTERRUPT": "too slow",
    "SQLITE_IOERR": "disk error",
    "SQLITE_CANTOPEN": "cannot open",
    "SQLITE_READONLY": "read-only",
    "SQLITE_CORRUPT": "damaged",
    "SQLITE_NOTADB": "damaged",
}
_NO_TABLES = "without the tables of this version, run `hub db upgrade`"
_NO_DATABASE = "no such database on this server, create it with `createdb` there"
_NO_POOLER = "the pooler refuses the settings of the hub: see PostgreSQL in docs/operations.md"
_POSTGRES = {
    "42P01": _NO_TABLES,
    "42703": _NO_TABLES,
    "53100": "disk full",
    "53300": "too many connections",
    "55P03": "locked",
    "40P01": "locked",
    "57014": "too slow",
    "25006": "read-only",
    "57P": "unreachable",
    "08": "unreachable",
    "28": "access denied",
    "3D": _NO_DATABASE,
    "42501": "access denied",
    "58": "disk error",
    "XX": "damaged",
}
_AT_CONNECT = (  # psycopg gives no code for these, only the server's message
    (re.compile(r'FATAL: +database ".*" does not exist'), _NO_DATABASE),
    (re.compile(r"FATAL: +.*unsupported startup parameter"), _NO_POOLER),
    (re.compile(r'FATAL: +(.*authentication failed|no pg_hba|role ".*" does not exist)'), "access denied"),
)


def describe_error(error: SQLAlchemyError) -> str:
    """A name such as `disk full`, `locked`, `unreachable`, `too slow`; else the class of the driver's error."""
    if not isinstance(error, DBAPIError):
        return type(error).__name__
    cause = error.orig
    if isinstance(cause, Refusal):
        return str(cause)
    name = getattr(cause, "sqlite_errorname", None)
    if name == "SQLITE_ERROR" and str(cause).startswith(("no such table", "no such column")):
        return _NO_TABLES
    if name is not None:
        return next((words for prefix, words in _SQLITE.items() if name.startswith(prefix)), name)
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return next((words for prefix, words in _POSTGRES.items() if state.startswith(prefix)), f"SQLSTATE {state}")
    if type(cause).__module__.startswith("psycopg") and type(cause).__name__ in (
        "OperationalError",
        "ConnectionTimeout",
    ):
        return next((words for message, words in _AT_CONNECT if message.search(str(cause))), "unreachable")
    return type(cause).__name__
