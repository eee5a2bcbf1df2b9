"""The quarantine file: rows that no database accepts are written to it, so that people can inspect them."""

import json
import os
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from alerts.store.unstorable import Refused

log = structlog.get_logger()

_MOST_BYTES = 16 * 1024 * 1024
_MOST_CHARACTERS = 1000  # of a value: enough to recognize it, and a row that was too long must not fill the file
FULL = "too many rows are in quarantine, inspect them and move the file away"


class QuarantineFull(Exception):
    """The file has reached its largest size; the rows were not written."""


class Quarantine:
    """One JSON object per line: time, table, reason and row. The methods do short I/O: call them in a thread.

    Without a path it only counts rows. `is_empty` is as of the last `add` or `check_empty`.
    """

    def __init__(self, path: Path | None = None, most_bytes: int = _MOST_BYTES) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self.is_empty = True
        self._most_bytes = most_bytes
        self._logged: set[tuple[str, str]] = set()

    def add(self, refused: Iterable[Refused]) -> None:
        """Append rows, and log each reason once per table. Raises QuarantineFull, OSError."""
        refused = list(refused)
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = [
            json.dumps({"at": at, **one._asdict(), "row": {name: _shown(value) for name, value in one.row.items()}})
            + "\n"
            for one in refused
        ]
        if self.path is not None and lines:
            self._append("".join(lines).encode(), self.path)
        for one in refused:
            self.counts[one.table] += 1
            if (one.table, one.reason) not in self._logged:
                self._logged.add((one.table, one.reason))
                where = None if self.path is None else str(self.path)
                log.error("row not stored: no database accepts it", table=one.table, reason=one.reason, file=where)

    def check_empty(self) -> bool:
        """Whether the file is empty or has been moved away."""
        try:
            self.is_empty = self.path is None or self.path.stat().st_size == 0
        except FileNotFoundError:
            self.is_empty = True
        return self.is_empty

    def _append(self, data: bytes, path: Path) -> None:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_size + len(data) > self._most_bytes:
                raise QuarantineFull(FULL)
            os.write(file, data)
            os.fsync(file)
        finally:
            os.close(file)
        self.is_empty = False


def _shown(value: object) -> object:
    """The value as JSON can hold it; a long one is truncated, with its length."""
    if (
        value is None
        or isinstance(value, bool | float)
        or (isinstance(value, int) and value.bit_length() <= _MOST_CHARACTERS)
    ):
        return value
    if isinstance(value, int):  # Python refuses to format very long integers as decimals
        value = hex(value)
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters)"
