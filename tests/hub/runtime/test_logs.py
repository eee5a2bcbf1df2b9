import io
import json
import logging
import sys
import warnings
from pathlib import Path

import pytest
import structlog

from hub.runtime.logs import configure_logs


def test_lines_are_json_with_utc_times_outside_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    configure_logs()
    structlog.get_logger().warning("unit unreachable", unit="gate-a")
    line = json.loads(file.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "unit unreachable", "unit": "gate-a", "level": "warning"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_that_cannot_be_written_is_lost_without_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stderr", file)
        configure_logs("console")
        structlog.get_logger().error("disk full")
        closing = True  # raises, as the file still has what it could not write
    assert closing


def test_what_libraries_log_and_warn_of_is_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    for _ in range(2):
        configure_logs("json")
    logging.getLogger("uvicorn.error").error("Cancel %s running task(s)", 3)
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception\n")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("never awaited", RuntimeWarning, stacklevel=1)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("watchfiles.main").info("3 changes detected")
    cancelled, crashed, warned = map(json.loads, file.getvalue().splitlines())
    assert (cancelled["event"], cancelled["logger"]) == ("Cancel 3 running task(s)", "uvicorn.error")
    assert (crashed["level"], crashed["event"]) == ("error", "Task exception")
    assert "ValueError: x" in crashed["traceback"]
    assert "never awaited" in warned["event"]
