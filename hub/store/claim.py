"""One hub per database: a lock that a second hub finds taken."""

import fcntl
import os
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

_KEY = 0x4855_4231  # "HUB1": the first half of the advisory lock; the second is the schema


class DatabaseTaken(Exception):
    """Another hub works on this database; stop that one first, or give this one a database of its own."""


class Claim(Protocol):
    """The right to be the one hub of a database. Methods block: call them in a worker thread."""

    def take(self) -> None:
        """Takes the lock, or makes sure that it is still held. Raises DatabaseTaken, DBAPIError."""

    def release(self) -> None:
        """Gives the lock up."""


class FileClaim:
    """A lock on `<database>.lock`; the system drops it with the process, however that ends."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._file: int | None = None

    def take(self) -> None:
        if self._file is not None:
            return
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise DatabaseTaken(f"another hub is using the database: {self._path} is locked") from None
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class ServerClaim:
    """A session advisory lock of PostgreSQL on a connection of its own: it lives as long as the connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def take(self) -> None:
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
                return
            except DBAPIError:
                self._connection.invalidate()
                self.release()
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            taken = connection.execute(
                text("SELECT pg_try_advisory_lock(:key, hashtext(current_schema()))"), {"key": _KEY}
            ).scalar_one()
        except DBAPIError:
            connection.close()
            raise
        if not taken:
            connection.close()
            raise DatabaseTaken("another hub is using the database: its lock is held on the server")
        self._connection = connection

    def release(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # closes the session, and with it goes the lock
            self._connection.close()
            self._connection = None
