"""Reads regular files of limited size that a configuration names; refuses pipes and devices, which may block."""

import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """Identifies one state of a file: a file that was replaced, written to or mounted over has another stamp."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int  # changes even when the modification time is set back

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        """The stamp in a result of `stat`."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def read_regular(path: Path, most: int) -> tuple[bytes, Stamp]:
    """Up to `most` + 1 bytes of a file, and its stamp before they were read. Raises OSError.

    It refuses anything but a regular file: opening a named pipe waits for its writer, and a device never ends; both
    would block every reload.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(most + 1), Stamp.of(status)
    finally:
        os.close(descriptor)
