"""The lock of a database: it makes one hub its only user, and a second hub fails to acquire it."""

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


class DatabaseInUse(Exception):
    """Another hub uses this database; stop it first, or give this hub a database of its own."""


class DatabaseLock(Protocol):
    """The exclusive lock of a database. The methods block: call them in a worker thread."""

    @property
    def is_held(self) -> bool:
        """Whether the lock was held at the last check."""

    def acquire(self) -> None:
        """Acquire the lock, or check that it is still held. Raises DatabaseInUse, DBAPIError."""

    def reset(self) -> None:
        """Drop a lock that may be on the wrong server, so that `acquire` acquires a new one."""

    def release(self) -> None:
        """Release the lock."""


class FileLock:
    """Locks `<database>.lock`, and the database file itself, which may have other names (hard links) elsewhere.

    The system releases both locks when the process ends. The lock on the database is of a kind (flock) that SQLite
    does not use. Closing a file releases SQLite's own locks on it, so call `release` after the last connection has
    been closed.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._files: list[int] = []

    @property
    def is_held(self) -> bool:
        return bool(self._files)

    def acquire(self) -> None:
        if self._files:
            return
        try:
            self._lock(self._path, os.O_RDWR | os.O_CREAT, f"{self._path} is locked")
            with suppress(IsADirectoryError, PermissionError):  # SQLite reports it when it opens the file
                self._lock(self._database, os.O_RDONLY | os.O_CREAT, f"{self._database} has another name elsewhere")
        except DatabaseInUse:
            self.release()
            raise

    def reset(self) -> None:
        """Do nothing: a file does not move to another server."""

    def release(self) -> None:
        while self._files:
            os.close(self._files.pop())

    def _lock(self, path: Path, flags: int, why: str) -> None:
        file = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise DatabaseInUse(f"another hub is using the database: {why}") from None
        except OSError:  # a file system without such locks
            os.close(file)
        else:
            self._files.append(file)


class AdvisoryLock:
    """A session-level advisory lock of PostgreSQL on a connection of its own, held as long as that connection.

    A session that lost its network may live on at the server for hours and keep the lock. So the sessions of one
    lock share an application name of their own, by which the next session terminates the former one.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._name = f"hub {uuid4().hex[:12]}"
        self._mutex = Lock()  # writers and the periodic check both acquire it

    @property
    def is_held(self) -> bool:
        return self._connection is not None

    def acquire(self) -> None:
        with self._mutex:
            if not self._is_good():
                self._release()
                self._acquire()

    def reset(self) -> None:
        with self._mutex:
            self._release()

    def release(self) -> None:
        """Release the lock explicitly: the session may stay at the server for a while after it is closed."""
        with self._mutex:
            if self._connection is not None:
                with suppress(DBAPIError):
                    self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
            self._release()

    def _is_good(self) -> bool:
        """Whether the lock is held on a server that accepts writes; a read-only server has been replaced."""
        if self._connection is None:
            return False
        try:
            return bool(self._connection.execute(text("SHOW transaction_read_only")).scalar_one() == "off")
        except DBAPIError:
            return False

    def _acquire(self) -> None:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            connection.execute(text("SELECT set_config('application_name', :name, false)"), {"name": self._name})
            is_acquired = self._try(connection)
            if not is_acquired and self._end_former(connection):
                for _ in range(_TRIES):
                    sleep(_PAUSE_S)
                    if is_acquired := self._try(connection):
                        break
        except DBAPIError:
            connection.close()
            raise
        if not is_acquired:
            connection.close()
            raise DatabaseInUse("another hub is using the database: its lock is held on the server")
        self._connection = connection

    def _try(self, connection: Connection) -> bool:
        query = text("SELECT pg_try_advisory_lock(:key, hashtext(current_schema()))")
        is_acquired: bool = connection.execute(query, {"key": _KEY}).scalar_one()
        return is_acquired

    def _end_former(self, connection: Connection) -> bool:
        """Terminate the sessions that this process has lost; True when there was one."""
        query = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = :name AND pid <> pg_backend_pid()"
        )
        ended: list[Any] = list(connection.execute(query, {"name": self._name}))
        return bool(ended)

    def _release(self) -> None:
        if self._connection is not None:
            with suppress(DBAPIError):
                self._connection.invalidate()  # closes the session, which releases the lock
                self._connection.close()
            self._connection = None
