"""Durations as people write them: `250ms 1s 5m 2h 14d 2y`."""

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 365 * 86400.0}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|y)")


def parse_duration(text: object) -> float:
    """Seconds of a duration such as `5m`; a plain 0 is allowed. Raises ValueError with what to write instead."""
    if isinstance(text, int | float) and not isinstance(text, bool) and text == 0:
        return 0.0
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        if isinstance(text, str) and text.strip() == "0":
            return 0.0
        if _is_number(text):
            raise ValueError(f"{text} needs a unit: write {text}s, or another such as 250ms, 5m, 2h, 14d")
        raise ValueError(f"{text!r} is not a duration; write a number and a unit, such as 250ms, 1s, 5m, 2h, 14d")
    return float(match[1]) * _UNIT_S[match[2]]


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and _NUMBER.fullmatch(str(value).strip()) is not None


def format_duration(seconds: float) -> str:
    """The shortest of the units that says it in whole numbers: 90.0 -> `90s`, 300.0 -> `5m`, 0.25 -> `250ms`."""
    for unit, size in (("y", 31536000.0), ("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:g}s"


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds, written in YAML as `5m`."""
