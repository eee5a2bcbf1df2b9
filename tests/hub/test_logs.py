import io
import json
import sys
from pathlib import Path

import pytest
import structlog

from hub.logs import configure_logs


def test_lines_are_json_with_utc_times_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
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
