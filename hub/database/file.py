"""Watches the file of a SQLite database: SQLite keeps writing to a file that was deleted, moved or replaced.

`DatabaseFile.check` moves between these values of `failure`:

    None ──missing──> GONE ──back again──> None        any ──another inode at `path`──> REPLACED
    None ──size 0──> EMPTIED ──has a size again──> REPLACED
    GONE for 10 checks: `is_lost`, and the connections' copy is restored        REPLACED: the hub opens the new file
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hub.runtime.private import make_private

GONE = "the file is gone, restore it"
EMPTIED = "the file was emptied, restore it"
REPLACED = "another file is in its place"
LOG_GONE = "the log of the database was deleted, restart the hub"

_LOST_AFTER_CHECKS = 10


class Identity(NamedTuple):
    """Identifies a file independently of its name."""

    device: int
    inode: int


class DatabaseFile:
    """The methods do short I/O: call them in a worker thread.

    `failure` is set while the connections do not use the file at `path`: what they write would be lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: str | None = None
        self.is_log_lost = False
        self._known: Identity | None = None
        self._known_log: Identity | None = None
        self._missing_checks = 0

    def make_private(self) -> None:
        """Remove the rights of other users from the file and from SQLite's own files beside it."""
        for path in (self.path, *self._logs):
            make_private(path)

    def remember(self) -> None:
        """Record the file at `path` as the one that the connections use."""
        self._known, self._known_log = _identity(self.path), None
        self.failure, self.is_log_lost = None, False

    def check(self) -> str | None:
        """Compare the file at `path` with the one that the connections use; returns `failure`."""
        found = _identity(self.path)
        self._missing_checks = self._missing_checks + 1 if found is None else 0
        if found is None:
            self.failure = GONE
        elif found != self._known:
            self.failure = REPLACED
        elif self.path.stat().st_size == 0:
            self.failure = EMPTIED
        elif self.failure is None:
            self._check_log()
        elif self.failure == GONE:
            self.failure = None  # it was moved, and moved back
        elif self.failure == EMPTIED:
            self.failure = REPLACED
        return self.failure

    def forget_log(self) -> None:
        """Forget the log: all connections are closed, so SQLite has removed it, and will create a new one."""
        self._known_log = None

    @property
    def is_in_place(self) -> bool:
        """Whether the file at `path` is still the one that the connections use."""
        return self._known is None or _identity(self.path) == self._known

    @property
    def is_lost(self) -> bool:
        """Whether the file has been missing for so many checks that nobody is about to move it back."""
        return self._missing_checks >= _LOST_AFTER_CHECKS

    def rescue(self, connection: Any) -> None:
        """Copy the database of an open connection, whose file has been deleted, to `path`. Raises OSError.

        A file that appears at `path` meanwhile stays.
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

    def rename_old_log(self) -> None:
        """Rename the log of the former file while it is open here: SQLite would apply it to the new file."""
        for log in self._logs:
            if _is_open_here(_identity(log)):
                log.rename(log.with_name(f"{log.name}.former"))

    def _check_log(self) -> None:
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
        with suppress(OSError):  # the descriptor of this listing is closed already
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == identity:
                return True
    return False
