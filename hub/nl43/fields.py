"""Data lines to values: the columns of `DOD?`, `DLC?` and `DRD?`, and the words of the smaller replies.

A line that does not fit raises FieldError. It is a ProtocolError: the reply of another command was read,
or bytes were lost, so the connection is out of step and has to be closed; the value stays unknown.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import NoReturn

from hub.nl43.protocol import ProtocolError
from hub.nl43.reading import LEVEL_NAMES, DrdReading, Reading

DOD_FIELDS = 64
DRD_FIELDS = 33
LOWEST_DB = -20.0
HIGHEST_DB = 200.0

_DRD_NAMES = ("lp", "leq", "lmax", "lmin", "lpeak", "lieq")
_LEVEL = r"(?: *(-?[0-9]+(?:\.[0-9]+)?) *|[^,0-9]*)"
_FLAG = r"(?: *([01]) *|[^,0-9]*)"
_LEVEL_TOKEN = re.compile(_LEVEL)
_FLAG_TOKEN = re.compile(_FLAG)
_MAIN_DOD = re.compile(",".join([_LEVEL] * len(LEVEL_NAMES) + [_FLAG, _FLAG, ""]))
_MAIN_DRD = re.compile(",".join([" *([0-9]{1,3}) *"] + [_LEVEL] * len(_DRD_NAMES) + [_FLAG, _FLAG, ""]))
_CLOCK = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_LEADING_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_FLAGS = {"0": False, "1": True, None: None}


class FieldError(ProtocolError):
    """A data line that does not have the form it must have."""


class RunState(StrEnum):
    """The answer to `Measure?`."""

    START = "Start"
    STOP = "Stop"


def parse_dod(line: str) -> Reading:
    """The main channel of a `DOD?` line: 64 fields, levels -20..200 dB, a token without a digit is missing."""
    return _reading(line, "DOD")


def parse_dlc(line: str) -> Reading:
    """The main channel of a `DLC?` line: the same fields, of the final result; `lp` is missing."""
    return _reading(line, "DLC")


def _reading(line: str, what: str) -> Reading:
    if line.count(",") != DOD_FIELDS - 1:
        _wrong_count(what, line, DOD_FIELDS)
    match = _MAIN_DOD.match(line)
    if match is None:
        _wrong_field(what, line, LEVEL_NAMES)
    *tokens, over, under = match.groups()
    levels = [None if token is None else float(token) for token in tokens]
    for level in levels:
        if level is not None and not LOWEST_DB <= level <= HIGHEST_DB:
            _out_of_range(what, level)
    return Reading._make((*levels, _FLAGS[over], _FLAGS[under], line))


def parse_drd(line: str) -> DrdReading:
    """The main channel of a `DRD?` line: counter 1..600 and 4 x 8 fields."""
    if line.count(",") != DRD_FIELDS - 1:
        _wrong_count("DRD", line, DRD_FIELDS)
    match = _MAIN_DRD.match(line)
    if match is None:
        _wrong_field("DRD", line, ("counter", *_DRD_NAMES))
    counter, *tokens, over, under = match.groups()
    if not 1 <= int(counter) <= 600:
        raise FieldError(f"DRD counter {counter} is not within 1..600")
    levels = [None if token is None else float(token) for token in tokens]
    for level in levels:
        if level is not None and not LOWEST_DB <= level <= HIGHEST_DB:
            _out_of_range("DRD", level)
    return DrdReading._make((int(counter), *levels, _FLAGS[over], _FLAGS[under], line))


def parse_run_state(line: str) -> RunState:
    """`Start` or `Stop`."""
    return RunState(_word("run state", line, *RunState))


def parse_on_off(line: str) -> bool:
    """`On` or `Off`."""
    return _word("switch", line, "On", "Off") == "On"


def parse_frequency_weighting(line: str) -> str:
    """`A`, `C` or `Z`."""
    return _word("frequency weighting", line, "A", "C", "Z")


def parse_time_weighting(line: str) -> str:
    """`F`, `S` or `I`."""
    return _word("time weighting", line, "F", "S", "I")


def parse_percentile(line: str) -> int:
    """Percent, 1..99."""
    text = line.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and int(text) >= 1):
        _unexpected("percentile", line)
    return int(text)


def parse_clock(line: str) -> datetime:
    """The meter's own local time, naive: the meter knows no zone. Never order readings by it."""
    match = _CLOCK.fullmatch(line.strip())
    if match is None:
        _unexpected("clock", line)
    try:
        return datetime(*map(int, match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001  six numbers, zone unknown
    except ValueError:
        _unexpected("clock", line)


def parse_battery(line: str) -> str:
    """The meter's own word, `Full` for one. It is not a percentage."""
    word = line.strip()
    if not word.isalpha():
        _unexpected("battery level", line)
    return word


def parse_sd_size_mb(line: str) -> float:
    """MB: the number the line begins with."""
    match = _LEADING_NUMBER.match(line.strip())
    if match is None:
        _unexpected("SD card size", line)
    return float(match[0])


def parse_store_name(line: str) -> int:
    """0..9999."""
    text = line.strip()
    if not (text.isascii() and text.isdigit() and len(text) == 4):
        _unexpected("store name", line)
    return int(text)


def parse_overwrite(line: str) -> bool:
    """True when the store name already holds data, which a start would overwrite."""
    return _word("overwrite state", line, "None", "Exist") == "Exist"


def _word(what: str, line: str, *allowed: str) -> str:
    word = next((word for word in allowed if word.lower() == line.strip().lower()), None)
    return word if word is not None else _unexpected(what, line)


def _unexpected(what: str, line: str) -> NoReturn:
    raise FieldError(f"the meter answered {line[:40]!a} where a {what} was due")


def _wrong_count(what: str, line: str, due: int) -> NoReturn:
    raise FieldError(f"a {what} line has {due} fields, this one has {line.count(',') + 1}: {line[:40]!a}")


def _out_of_range(what: str, level: float) -> NoReturn:
    raise FieldError(f"{what} level {level} dB is not within {LOWEST_DB:.0f}..{HIGHEST_DB:.0f} dB")


def _wrong_field(what: str, line: str, names: tuple[str, ...]) -> NoReturn:
    for name, token in zip((*names, "over", "under"), line.split(","), strict=False):
        if not (_FLAG_TOKEN if name in ("over", "under") else _LEVEL_TOKEN).fullmatch(token):
            raise FieldError(f"{what} field {name} cannot be read: {token[:20]!a}")
    raise FieldError(f"a {what} line cannot be read: {line[:40]!a}")
