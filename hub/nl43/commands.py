"""Commands of the meter, typed: what may be sent, and how it is written on the wire."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Literal

_NAME = re.compile(r"[A-Za-z0-9]+(?: [A-Za-z0-9]+)*(?: \([A-Za-z0-9]+\))?")
_LAST_CLOCK_YEAR = 2079


class Kind(Enum):
    """How the meter answers when it accepts: one data line, no data line, or a line every 100 ms until stopped."""

    REQUEST = "request"
    SETTING = "setting"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `Name?` (a parameter follows the `?`) or, as a setting, `Name,param`.

    Raises ValueError for what would break the framing (control characters, `$`, anything beyond ASCII)
    and for settings that would cut this connection off for good.
    """

    name: str
    param: str | None = None
    kind: Kind = Kind.REQUEST

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!a} is no command name: use letters, digits and single blanks, as in 'Store Name'"
            )
        if self.kind is Kind.SETTING and not (self.param and self.param.strip()):
            raise ValueError(f"{self.name} is a setting and needs a value")
        if self.param is not None and (
            "$" in self.param or not self.param.isascii() or not self.param.isprintable()
        ):
            raise ValueError(
                f"{self.param!a} cannot be sent: a value is plain ASCII without control characters or '$'"
            )
        if self.kind is Kind.SETTING:
            _refuse_self_lockout(self.name, self.param or "")

    @property
    def line(self) -> str:
        """The command as written, without its line end."""
        if self.kind is Kind.SETTING:
            return f"{self.name},{self.param}"
        return f"{self.name}?{self.param or ''}"

    def encode(self) -> bytes:
        """The whole line with CR LF; send it in one piece."""
        return f"{self.line}\r\n".encode("ascii")


def _refuse_self_lockout(name: str, param: str) -> None:
    name, param = name.lower(), param.strip().lower()
    if name == "tcp" and param != "on":
        raise ValueError("TCP other than On ends the only way to reach the meter: change it on the meter itself")
    if name.startswith("ethernet"):
        raise ValueError("Ethernet settings can make the meter unreachable: change them on the meter itself")
    if name == "web" and param != "off":
        raise ValueError("Web On makes the meter switch TCP and FTP off: change it on the meter itself")
    if name == "usb class" and param != "off":
        raise ValueError(
            "a USB Class other than Off makes the meter switch TCP and FTP off: change it on the meter itself"
        )


def request(name: str, param: str | None = None) -> Command:
    """`Name?`, answered with one data line."""
    return Command(name, param)


def setting(name: str, param: str) -> Command:
    """`Name,param`, answered with a result code alone."""
    return Command(name, param, Kind.SETTING)


DOD = request("DOD")
"""The displayed values: 64 fields. At least 1 s apart."""
DLC = request("DLC")
"""The final result of the last run: 64 fields, no Lp."""
DRD = Command("DRD", kind=Kind.STREAM)
"""A line each 100 ms until stopped."""
DRD_STATUS = Command("DRD", "status", Kind.STREAM)
"""`DRD` with time, power source, battery, SD card and run state added to each line: take one line, then stop it."""

MEASURE = request("Measure")
MEASURE_START = setting("Measure", "Start")
MEASURE_STOP = setting("Measure", "Stop")
PAUSE = request("Pause")
PAUSE_ON = setting("Pause", "On")
PAUSE_OFF = setting("Pause", "Off")
MANUAL_STORE = setting("Manual Store", "Start")

CLOCK = request("Clock")
SLEEP_MODE = request("Sleep Mode")
SLEEP_MODE_OFF = setting("Sleep Mode", "Off")
BATTERY_LEVEL = request("Battery Level")
SD_FREE = request("SD Card Free Size")
SD_TOTAL = request("SD Card Total Size")
TYPE = request("Type")
SERIAL_NUMBER = request("Serial Number")
SYSTEM_VERSION = request("System Version")
FTP = request("FTP")

FREQUENCY_WEIGHTING = request("Frequency Weighting (Main)")
TIME_WEIGHTING = request("Time Weighting (Main)")
STORE_NAME = request("Store Name")
STORE_MODE = request("Store Mode")
OVERWRITE = request("Overwrite")


def set_clock(local: datetime) -> Command:
    """Set the meter's clock. `local` is the meter's own local time: the meter knows no zone."""
    if not 2023 <= local.year <= _LAST_CLOCK_YEAR:
        raise ValueError(f"the meter's clock runs from 2023 to {_LAST_CLOCK_YEAR}, not {local.year}")
    return setting("Clock", f"{local:%Y/%m/%d %H:%M:%S}")


def set_sleep_mode(on: bool) -> Command:
    """Whether the meter may sleep between timed measurements; asleep, it cannot be woken over TCP."""
    return setting("Sleep Mode", "On" if on else "Off")


def set_frequency_weighting(weighting: Literal["A", "C", "Z"]) -> Command:
    """Weighting of the main channel."""
    return _one_of(lambda w: setting("Frequency Weighting (Main)", w), weighting, "A", "C", "Z")


def set_time_weighting(weighting: Literal["F", "S", "I"]) -> Command:
    """Fast, slow or impulse, of the main channel."""
    return _one_of(lambda w: setting("Time Weighting (Main)", w), weighting, "F", "S", "I")


def percentile(slot: int) -> Command:
    """Which percentage LN1..LN5 (`slot` 1..5) stands for."""
    return request(f"Percentile {_slot(slot)}")


def set_percentile(slot: int, percent: int) -> Command:
    """Make LN`slot` the level exceeded `percent` (1..99) of the time."""
    if not 1 <= percent <= 99:
        raise ValueError(f"a percentile is 1 to 99 percent, not {percent}")
    return setting(f"Percentile {_slot(slot)}", str(percent))


def set_store_name(number: int) -> Command:
    """Name of the next store, 0..9999. Starting on a name that holds data overwrites it: ask `OVERWRITE` first."""
    if not 0 <= number <= 9999:
        raise ValueError(f"a store name is 0 to 9999, not {number}")
    return setting("Store Name", f"{number:04}")


def set_store_mode(mode: Literal["Manual", "Auto"]) -> Command:
    """How the meter stores what it measures."""
    return _one_of(lambda m: setting("Store Mode", m), mode, "Manual", "Auto")


def _slot(slot: int) -> int:
    if not 1 <= slot <= 5:
        raise ValueError(f"the meter has percentiles 1 to 5, not {slot}")
    return slot


def _one_of(build: Callable[[str], Command], value: str, *allowed: str) -> Command:
    if value not in allowed:
        raise ValueError(f"choose one of {', '.join(allowed)}, not {value!a}")
    return build(value)
