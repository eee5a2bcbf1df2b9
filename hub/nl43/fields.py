"""Data lines to values: the columns of `DOD?`, `DLC?` and `DRD?`, and the words of the smaller replies.

A line that does not fit raises FieldError. It is a ProtocolError: the reply of another command was read,
or bytes were lost, so the connection is out of step and has to be closed; the value stays unknown.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import NoReturn

from hub.nl43.protocol import ProtocolError
from hub.readings.reading import LEVEL_NAMES, DrdReading, Reading

DOD_FIELDS = 64
DRD_FIELDS = 33
LOWEST_DB = -20.0
HIGHEST_DB = 200.0

_DRD_NAMES = DrdReading._fields[DrdReading._fields.index("lp") : DrdReading._fields.index("over")]
_FLAG_NAMES = ("over", "under")
_LEVEL = r"(?: {2}[0-9]\.[0-9]| [1-9][0-9]\.[0-9]|[1-9][0-9]{2}\.[0-9]| -[0-9]\.[0-9]|-[1-9][0-9]\.[0-9])"
_NO_LEVEL = r"(?:  -\.-| --\.-| {5})"
_LEVEL_TOKEN = re.compile(f"{_LEVEL}|{_NO_LEVEL}")
_FLAG_TOKEN = re.compile("[01-]")
_COUNTER_TOKEN = re.compile("  [1-9]| [1-9][0-9]|[1-9][0-9]{2}")


def _form(levels: int) -> re.Pattern[str]:
    """Four channels of `levels` levels and two flags; those of the first are captured, missing ones as None."""
    first = [f"(?:({_LEVEL})|{_NO_LEVEL})"] * levels + ["(?:([01])|-)"] * len(_FLAG_NAMES)
    other = [f"(?:{_LEVEL}|{_NO_LEVEL})"] * levels + ["[01-]"] * len(_FLAG_NAMES)
    return re.compile(",".join([*first, *other * 3]))


_DOD = _form(len(LEVEL_NAMES))
_DRD = _form(len(_DRD_NAMES))
_CLOCK = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?: ?MB?)?")
_FLAGS = {"0": False, "1": True, None: None}


class FieldError(ProtocolError):
    """A data line that does not have the form it must have."""


class RunState(StrEnum):
    """The answer to `Measure?`."""

    START = "Start"
    STOP = "Stop"


def parse_dod(line: str) -> Reading:
    """The main channel of a `DOD?` line: 351 characters, 64 fields of fixed width, levels -20..200 dB.

    A level has five characters, right-aligned, with one decimal, or is missing; a flag is `0`, `1` or `-`.
    A line that lost, doubled or changed a character does not have this form.
    """
    return _reading(line, "DOD")


def parse_dlc(line: str) -> Reading:
    """The main channel of a `DLC?` line: the same fields, of the final result; `lp` is missing."""
    return _reading(line, "DLC")


def _reading(line: str, what: str) -> Reading:
    if line.count(",") != DOD_FIELDS - 1:
        _wrong_count(what, line, DOD_FIELDS)
    levels, over, under = _main_channel(_DOD, line, what, LEVEL_NAMES)
    return Reading._make((*levels, over, under, line))


def parse_drd(line: str) -> DrdReading:
    """The main channel of a `DRD?` line: counter 1..600 and 4 x 8 fields, in 163 characters."""
    if line.count(",") != DRD_FIELDS - 1:
        _wrong_count("DRD", line, DRD_FIELDS)
    counter, channels = line.split(",", 1)
    if not _COUNTER_TOKEN.fullmatch(counter) or not 1 <= int(counter) <= 600:
        raise FieldError(f"DRD counter {counter[:20]!a} is not within 1..600, three characters wide")
    levels, over, under = _main_channel(_DRD, channels, "DRD", _DRD_NAMES)
    return DrdReading._make((int(counter), *levels, over, under, line))


def _main_channel(
    form: re.Pattern[str], channels: str, what: str, names: tuple[str, ...]
) -> tuple[list[float | None], bool | None, bool | None]:
    match = form.fullmatch(channels)
    if match is None:
        _wrong_form(what, channels, names)
    *tokens, over, under = match.groups()
    levels = [None if token is None else float(token) for token in tokens]
    for level in levels:
        if level is not None and not LOWEST_DB <= level <= HIGHEST_DB:
            _out_of_range(what, level)
    return levels, _FLAGS[over], _FLAGS[under]


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
    text = line.strip(" ")
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and not text.startswith("0")):
        _unexpected("percentile", line)
    return int(text)


def parse_clock(line: str) -> datetime:
    """The meter's own local time, naive: the meter knows no zone. Never order readings by it."""
    match = _CLOCK.fullmatch(line)
    if match is None:
        _unexpected("clock", line)
    try:
        return datetime(*map(int, match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001  six numbers, zone unknown
    except ValueError:
        _unexpected("clock", line)


def parse_battery(line: str) -> str:
    """The meter's own word, `Full` for one. It is not a percentage."""
    if not (line.isascii() and line.isalpha()):
        _unexpected("battery level", line)
    return line


def parse_sd_size_mb(line: str) -> float:
    """MB, with or without the unit."""
    match = _SIZE.fullmatch(line)
    if match is None:
        _unexpected("SD card size", line)
    return float(match[1])


def parse_store_name(line: str) -> int:
    """0..9999."""
    if not (line.isascii() and line.isdigit() and len(line) == 4):
        _unexpected("store name", line)
    return int(line)


def parse_overwrite(line: str) -> bool:
    """True when the store name already holds data, which a start would overwrite."""
    return _word("overwrite state", line, "None", "Exist") == "Exist"


def _word(what: str, line: str, *allowed: str) -> str:
    return line if line in allowed else _unexpected(what, line)


def _unexpected(what: str, line: str) -> NoReturn:
    raise FieldError(f"the meter answered {line[:40]!a} where a {what} was due")


def _wrong_count(what: str, line: str, due: int) -> NoReturn:
    raise FieldError(f"a {what} line has {due} fields, this one has {line.count(',') + 1}: {line[:40]!a}")


def _out_of_range(what: str, level: float) -> NoReturn:
    raise FieldError(f"{what} level {level} dB is not within {LOWEST_DB:.0f}..{HIGHEST_DB:.0f} dB")


def _wrong_form(what: str, channels: str, names: tuple[str, ...]) -> NoReturn:
    per_channel = len(names) + len(_FLAG_NAMES)
    for place, token in enumerate(channels.split(",")):
        channel, column = divmod(place, per_channel)
        form = _LEVEL_TOKEN if column < len(names) else _FLAG_TOKEN
        if not form.fullmatch(token):
            name = (*names, *_FLAG_NAMES)[column]
            where = f" of sub channel {channel}" if channel else ""
            raise FieldError(f"{what} field {name}{where} cannot be read: {token[:20]!a}")
    raise FieldError(f"a {what} line cannot be read: {channels[:40]!a}")
