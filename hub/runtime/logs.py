"""How the hub writes its log: lines for people on a terminal, JSON elsewhere."""

import logging
import sys
from traceback import format_exception
from typing import Literal, TextIO

import structlog

Form = Literal["console", "json"]


def configure_logs(form: Form | None = None, level: str = "info") -> Form:
    """Log to standard error. `form` None is console on a terminal, else JSON. Times are UTC.

    What libraries log from warnings on, and Python's own warnings, come in the same form.
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
    for handler in [one for one in root.handlers if isinstance(one, _OfLibraries)]:
        root.removeHandler(handler)
    root.addHandler(_OfLibraries(logging.WARNING))
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a warning of it is what any stranger can cause
    logging.captureWarnings(True)
    return "console" if is_console else "json"


class _OfLibraries(logging.Handler):
    """Hands what libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        crash = record.exc_info[1] if record.exc_info else None
        details = {} if crash is None else {"traceback": "".join(format_exception(crash))}
        log = structlog.get_logger().bind(logger=record.name)
        write = log.error if record.levelno >= logging.ERROR else log.warning
        write(record.getMessage().strip(), **details)


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
