"""The names of database errors; test_database and test_recorder provoke real ones."""

import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError, ResourceClosedError

from hub.database.errors import describe_error


def wrapped(cause: Exception) -> DBAPIError:
    return OperationalError("INSERT INTO secrets VALUES ('geheim')", {"a": "geheim"}, cause)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("SQLITE_FULL", "disk full"),
        ("SQLITE_BUSY_SNAPSHOT", "locked"),
        ("SQLITE_IOERR_WRITE", "disk error"),
        ("SQLITE_READONLY_DBMOVED", "read-only"),
        ("SQLITE_CORRUPT", "damaged"),
        ("SQLITE_SCHEMA", "SQLITE_SCHEMA"),
    ],
)
def test_errors_of_sqlite_are_named_by_their_code(name: str, says: str) -> None:
    cause = sqlite3.OperationalError("geheim")
    cause.sqlite_errorname = name
    assert describe_error(wrapped(cause)) == says


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (psycopg.errors.DiskFull("geheim"), "disk full"),
        (psycopg.errors.LockNotAvailable("geheim"), "locked"),
        (psycopg.errors.QueryCanceled("geheim"), "too slow"),
        (psycopg.errors.AdminShutdown("geheim"), "unreachable"),
        (psycopg.errors.ConnectionFailure("geheim"), "unreachable"),
        (psycopg.errors.InvalidPassword("geheim"), "access denied"),
        (psycopg.errors.UndefinedTable("geheim"), "without the tables of this version, run `hub db upgrade`"),
        (psycopg.OperationalError("connection to geheim failed"), "unreachable"),
        (psycopg.InterfaceError("geheim"), "InterfaceError"),
    ],
)
def test_errors_of_postgres_are_named_by_their_sqlstate(cause: psycopg.Error, says: str) -> None:
    assert describe_error(wrapped(cause)) == says


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"dbname": "no_such_database"}, "no such database on this server, create it with `createdb` there"),
        ({"user": "no_such_role"}, "access denied"),
        ({"port": 1}, "unreachable"),
    ],
)
def test_a_refusal_at_the_connect_is_named(postgres_url: str, part: dict[str, str | int], says: str) -> None:
    with pytest.raises(psycopg.OperationalError) as failed:
        psycopg.connect(postgres_url, connect_timeout=3, **part)  # type: ignore[arg-type]
    assert describe_error(wrapped(failed.value)) == says


def test_other_errors_are_named_by_their_class() -> None:
    assert describe_error(ResourceClosedError("geheim")) == "ResourceClosedError"
