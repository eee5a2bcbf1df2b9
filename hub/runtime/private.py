"""Makes files readable by the hub's user only."""

import stat
from pathlib import Path

import structlog

log = structlog.get_logger()

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(path: Path) -> None:
    """Remove the rights of group and others on a file of the hub, and log it, as somebody may have used them."""
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS:
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
            log.info("removed the rights of other users on a file of the hub", file=str(path))
    except FileNotFoundError:
        pass
    except PermissionError:  # the file is another user's
        log.warning(
            "other users can read this file, and the hub does not own it: have its owner run `chmod go=` on it",
            file=str(path),
        )


def warn_of_open_folder(folder: Path) -> None:
    """Warn when others can read a folder that existed before the hub; it may contain files of others."""
    if folder.stat().st_mode & _OTHERS:
        log.warning("other users can read the folder: run `chmod 700` on it", folder=str(folder))
