"""Files that nobody but the hub's user may read."""

import stat
from pathlib import Path

import structlog

log = structlog.get_logger()

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(path: Path) -> None:
    """Takes group and others their rights on a file of the hub; logs it, as somebody may have relied on them."""
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
            log.info("the file can be read by the hub's user only from now on", file=str(path))
    except FileNotFoundError:
        pass
    except PermissionError:  # the file is another user's
        log.warning(
            "others can read the file, which is another user's: have its owner run `chmod go=` on it",
            file=str(path),
        )


def warn_of_open_folder(folder: Path) -> None:
    """Says that others can look into a folder, which was there before the hub and may hold more than its files."""
    if folder.stat().st_mode & _OTHERS:
        log.warning("others can look into the folder: run `chmod 700` on it", folder=str(folder))
