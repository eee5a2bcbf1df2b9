"""Rows that every database refuses, distinguished from a database that fails."""

import sqlite3

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, StatementError
from sqlmodel import Session

from alerts.store.unstorable import is_unstorable, write_apart


def caused(error: Exception) -> OperationalError:
    return OperationalError("INSERT", None, error)


@pytest.mark.parametrize(
    "error",
    [
        DataError("INSERT", None, psycopg.errors.UntranslatableCharacter("geheim")),
        IntegrityError("INSERT", None, sqlite3.IntegrityError("CHECK constraint failed")),
        caused(psycopg.errors.ProgramLimitExceeded("index row size exceeds btree version 4 maximum 2704")),
        caused(psycopg.errors.RaiseException("a trigger of somebody else's")),
        caused(sqlite3.InterfaceError("Error binding parameter 3 - probably unsupported type.")),
        psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
        psycopg.errors.NumericValueOutOfRange("geheim"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        OverflowError("Python int too large to convert to SQLite INTEGER"),
        StatementError("a time without a zone", "INSERT", None, ValueError("no zone")),
    ],
)
def test_the_values_are_at_fault(error: Exception) -> None:
    assert is_unstorable(error)


@pytest.mark.parametrize(
    "error",
    [
        caused(sqlite3.OperationalError("database is locked")),
        caused(sqlite3.DatabaseError("database disk image is malformed")),
        caused(psycopg.errors.ReadOnlySqlTransaction("geheim")),
        caused(psycopg.errors.UndefinedTable("geheim")),
        caused(psycopg.OperationalError("the connection is lost")),
        caused(psycopg.errors.DiskFull("geheim")),
        KeyError("a bug"),
    ],
)
def test_the_database_is_at_fault(error: Exception) -> None:
    assert not is_unstorable(error)


@given(st.lists(st.booleans(), max_size=40))
def test_every_row_is_written_but_those_that_are_refused(good: list[bool]) -> None:
    rows = [(number, 1 if is_good else None) for number, is_good in enumerate(good)]
    with Session(create_engine("sqlite://")) as session:
        session.connection().exec_driver_sql("CREATE TABLE rows (id INTEGER, of INTEGER NOT NULL)")

        def write(part: list[tuple[int, int | None]]) -> None:
            session.connection().exec_driver_sql("INSERT INTO rows VALUES (?, ?)", part)

        refused = write_apart(session, rows, write)  # type: ignore[arg-type]
        written = [row.id for row in session.execute(text("SELECT id FROM rows ORDER BY id"))]
    assert written == [number for number, is_good in enumerate(good) if is_good]
    assert refused == [(row, "IntegrityError") for row in rows if row[1] is None]
