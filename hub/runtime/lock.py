"""The lock of a data folder: it is held until the process ends, and then released by the system."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hub.runtime.private import make_private, warn_of_open_folder


class AlreadyRunning(Exception):
    """Another hub holds the lock; the message says which one, and what to do."""


@contextmanager
def open_lock(path: Path, name: str) -> Iterator[None]:
    """Hold an exclusive lock on the file, with the process id and name in it. Raises AlreadyRunning, OSError.

    The file stays, empty: if it were deleted, a third process could lock a new file of the same name.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        warn_of_open_folder(path.parent)
    with open(path, "a+", encoding="utf-8", opener=partial(os.open, mode=0o600)) as file:
        make_private(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(200).strip() or "starting or stopping"
            message = f"another hub ({holder}) uses {path.parent}; stop it, or set another hub.data_dir here"
            raise AlreadyRunning(message) from None
        file.truncate(0)
        file.write(f"{name}, process {os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
