"""How the hub writes its log: lines for people on a terminal, JSON elsewhere."""

import logging
import sys
from typing import Literal, TextIO

import structlog


def configure_logs(form: Literal["console", "json"] | None = None, level: str = "info") -> None:
    """Log to standard error. `form` None is console on a terminal, else JSON. Times are UTC."""
    is_console = sys.stderr.isatty() if form is None else form == "console"
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer() if is_console else structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: _Lines(sys.stderr),
        cache_logger_on_first_use=False,
    )


class _Lines:
    """Writes lines for structlog. What cannot be written, to a full disk or a pipe that nobody reads, is lost.

    It must not take the hub down, which goes on and tells of the disk by other ways.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, message: str) -> None:
        """One line."""
        try:
            self._file.write(message + "\n")
            self._file.flush()
        except OSError:
            pass  # the log was the place to say so

    debug = info = warning = error = critical = msg
