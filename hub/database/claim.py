"""One hub per database: a lock that a second hub finds taken."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import sleep
from typing import Any, Protocol
from uuid import uuid4

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

_KEY = 0x4855_4231  # "HUB1": the first half of the advisory lock; the second is the schema
_TRIES = 20
_PAUSE_S = 0.05


class DatabaseTaken(Exception):
    """Another hub works on this database; stop that one first, or give this one a database of its own."""


class Claim(Protocol):
    """The right to be the one hub of a database. Methods block: call them in a worker thread."""

    @property
    def is_held(self) -> bool:
        """Whether the lock was held when it was last looked at."""

    def take(self) -> None:
        """Takes the lock, or makes sure that it is still held. Raises DatabaseTaken, DBAPIError."""

    def renew(self) -> None:
        """Lets a lock go that may be on the wrong server, so that `take` takes another one."""

    def release(self) -> None:
        """Gives the lock up."""


class FileClaim:
    """Locks `<database>.lock`, and the database itself, which may have other names (hard links) elsewhere.

    The system drops both with the process, however that ends. The lock on the database is of a kind that SQLite
    does not use. To close a file drops SQLite's locks on it: `release` comes after the last connection is closed.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._files: list[int] = []

    @property
    def is_held(self) -> bool:
        return bool(self._files)

    def take(self) -> None:
        if self._files:
            return
        try:
            self._lock(self._path, os.O_RDWR | os.O_CREAT, f"{self._path} is locked")
            with suppress(IsADirectoryError, PermissionError):  # SQLite says what is wrong when it opens the file
                self._lock(self._database, os.O_RDONLY | os.O_CREAT, f"{self._database} has another name elsewhere")
        except DatabaseTaken:
            self.release()
            raise

    def renew(self) -> None:
        """A file does not move to another server."""

    def release(self) -> None:
        while self._files:
            os.close(self._files.pop())

    def _lock(self, path: Path, flags: int, why: str) -> None:
        file = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise DatabaseTaken(f"another hub is using the database: {why}") from None
        except OSError:  # a file system without such locks
            os.close(file)
        else:
            self._files.append(file)


class ServerClaim:
    """A session advisory lock of PostgreSQL on a connection of its own: it lives as long as the connection.

    A session that the network has cut off may live on at the server for hours and keep the lock. So each session
    of a claim has a name of its own, by which the next one ends it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._name = f"hub {uuid4().hex[:12]}"
        self._busy = Lock()  # writers and the guard both see to it that it is held

    @property
    def is_held(self) -> bool:
        return self._connection is not None

    def take(self) -> None:
        with self._busy:
            if not self._is_good():
                self._release()
                self._take()

    def renew(self) -> None:
        with self._busy:
            self._release()

    def release(self) -> None:
        """Give the lock up, so that the hub that starts next finds it free: a session may outlive its end."""
        with self._busy:
            if self._connection is not None:
                with suppress(DBAPIError):
                    self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
            self._release()

    def _is_good(self) -> bool:
        """Whether the lock is held on a server that takes writes; one that does not has been replaced."""
        if self._connection is None:
            return False
        try:
            return bool(self._connection.execute(text("SHOW transaction_read_only")).scalar_one() == "off")
        except DBAPIError:
            return False

    def _take(self) -> None:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            connection.execute(text("SELECT set_config('application_name', :name, false)"), {"name": self._name})
            taken = self._try(connection)
            if not taken and self._end_former(connection):
                for _ in range(_TRIES):
                    sleep(_PAUSE_S)
                    if taken := self._try(connection):
                        break
        except DBAPIError:
            connection.close()
            raise
        if not taken:
            connection.close()
            raise DatabaseTaken("another hub is using the database: its lock is held on the server")
        self._connection = connection

    def _try(self, connection: Connection) -> bool:
        query = text("SELECT pg_try_advisory_lock(:key, hashtext(current_schema()))")
        taken: bool = connection.execute(query, {"key": _KEY}).scalar_one()
        return taken

    def _end_former(self, connection: Connection) -> bool:
        """Ends the sessions that this process has lost; true where there was one."""
        query = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = :name AND pid <> pg_backend_pid()"
        )
        ended: list[Any] = list(connection.execute(query, {"name": self._name}))
        return bool(ended)

    def _release(self) -> None:
        if self._connection is not None:
            with suppress(DBAPIError):
                self._connection.invalidate()  # closes the session, and with it goes the lock
                self._connection.close()
            self._connection = None
