"""Configures the log: lines for people on a terminal, JSON elsewhere."""

import logging
import sys
from traceback import format_exception
from typing import Literal, TextIO

import structlog

Form = Literal["console", "json"]


def configure_logs(form: Form | None = None, level: str = "info") -> Form:
    """Log to standard error; `form` None chooses console on a terminal, else JSON. Times are UTC.

    Warnings and errors of libraries, and Python's own warnings, are written in the same form.
    """
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
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _LibraryHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryHandler(logging.WARNING))
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # any client can cause its warnings
    logging.captureWarnings(True)
    return "console" if is_console else "json"


class _LibraryHandler(logging.Handler):
    """Passes the records of libraries to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        crash = record.exc_info[1] if record.exc_info else None
        details = {} if crash is None else {"traceback": "".join(format_exception(crash))}
        log = structlog.get_logger().bind(logger=record.name)
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write(record.getMessage().strip(), **details)


class _Lines:
    """Writes lines for structlog. A line that cannot be written, to a full disk or a closed pipe, is lost.

    It must not end the hub, which reports a full disk in its health and alerts.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, message: str) -> None:
        """Write one line."""
        try:
            self._file.write(message + "\n")
            self._file.flush()
        except OSError:
            pass  # there is no log to report it to

    debug = info = warning = error = critical = msg
