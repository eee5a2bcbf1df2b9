"""The file of a SQLite database: made private, and watched, because SQLite goes on with a file that was deleted."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hub.runtime.private import make_private

GONE = "the file is gone, restore it"
EMPTIED = "the file was emptied, restore it"
REPLACED = "another file is in its place"
LOG_GONE = "the log of the database was deleted, restart the hub"

_LOST_AFTER_LOOKS = 10


class Identity(NamedTuple):
    """What a file is, whatever it is called."""

    device: int
    inode: int


class DatabaseFile:
    """Methods do short I/O: call them in a worker thread.

    `trouble` says that the connections do not work on what is at `path` any more: what they write would be lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: str | None = None
        self.is_log_lost = False
        self._known: Identity | None = None
        self._known_log: Identity | None = None
        self._looks_gone = 0

    def make_private(self) -> None:
        """Takes everybody else the rights on it and on SQLite's own files, which get the rights of the database."""
        for path in (self.path, *self._logs):
            make_private(path)

    def remember(self) -> None:
        """The connections work on what is at `path` now."""
        self._known, self._known_log = _identity(self.path), None
        self.trouble, self.is_log_lost = None, False

    def look(self) -> str | None:
        """Compares what is at `path` with what the connections work on; returns and keeps the trouble, if any."""
        found = _identity(self.path)
        self._looks_gone = self._looks_gone + 1 if found is None else 0
        if found is None:
            self.trouble = GONE
        elif found != self._known:
            self.trouble = REPLACED
        elif self.path.stat().st_size == 0:
            self.trouble = EMPTIED
        elif self.trouble is None:
            self._look_at_log()
        elif self.trouble == GONE:
            self.trouble = None  # it was moved, and moved back
        elif self.trouble == EMPTIED:
            self.trouble = REPLACED
        return self.trouble

    def forget_log(self) -> None:
        """No connection is open any more, so SQLite has removed its log, and the next connection makes another."""
        self._known_log = None

    @property
    def is_in_place(self) -> bool:
        """Whether `path` still leads to the file that the connections work on."""
        return self._known is None or _identity(self.path) == self._known

    @property
    def is_lost(self) -> bool:
        """Whether it has been gone for so long that nobody is just about to put it back."""
        return self._looks_gone >= _LOST_AFTER_LOOKS

    def rescue(self, connection: Any) -> None:
        """Copies what the connection still has, though it has no name any more, to `path`. Raises OSError.

        A file that appears at `path` meanwhile is left alone.
        """
        copy = self.path.with_name(f"{self.path.name}.rescued")
        copy.unlink(missing_ok=True)
        file = os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            connection.execute("VACUUM INTO ?", (str(copy),))
            os.fsync(file)
            with suppress(FileExistsError):
                os.link(copy, self.path)
        finally:
            os.close(file)
            copy.unlink()

    def set_old_log_aside(self) -> None:
        """Renames the log of the former file, while it is open here: SQLite would put it into the new file."""
        for log in self._logs:
            if _is_open_here(_identity(log)):
                log.rename(log.with_name(f"{log.name}.former"))

    def _look_at_log(self) -> None:
        found = _identity(self._logs[0])
        if self._known_log is None:
            self._known_log = found
        self.is_log_lost = found != self._known_log

    @property
    def _logs(self) -> tuple[Path, Path]:
        name = self.path.name
        return self.path.with_name(f"{name}-wal"), self.path.with_name(f"{name}-shm")


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return Identity(found.st_dev, found.st_ino)


def _is_open_here(identity: Identity | None) -> bool:
    """Whether this process has the file open."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # the one that lists them is closed again
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == identity:
                return True
    return False
