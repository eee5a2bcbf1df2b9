"""The plain items of the meter: their names, allowed values and initial values."""

from collections.abc import Callable
from typing import NamedTuple

Accept = Callable[[str], str | None]
"""A value as sent -> the value as stored, or None when the meter does not accept it."""


class Item(NamedTuple):
    """`accept` is None for what can only be read."""

    name: str
    value: str
    accept: Accept | None = None
    while_measuring: bool = False


PERCENTILES = ("5", "10", "50", "90", "95")
DISPLAYED = ("Leq", "LE", "Lmax", "Lmin", "LN1", "LN2", "LN3", "LN4", "LN5", "Lpeak", "LIeq", "Leqmov", "Ltm5")
_NOT_DISPLAYED_AT_FIRST = ("LIeq", "Leqmov", "Ltm5")
ALIASES = {
    "frequency weighting": "frequency weighting (main)",
    "time weighting": "time weighting (main)",
}
_PRESETS = ("10s", "1m", "5m", "10m", "15m", "30m", "1h", "8h", "24h")
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def choice(*words: str) -> Accept:
    """One of `words`, in any case."""
    by_lower = {word.lower(): word for word in words}
    return lambda value: by_lower.get(value.lower())


def number(least: int, most: int, digits: int = 1) -> Accept:
    """A whole number; with `digits` > 1 it must be written with exactly that many."""

    def accept(value: str) -> str | None:
        fits = (
            value.isascii()
            and value.isdigit()
            and (digits == 1 or len(value) == digits)
            and least <= int(value) <= most
        )
        return f"{int(value):0{digits}}" if fits else None

    return accept


def preset_s(value: str) -> float:
    """`10s`, `5m`, `24h` in seconds."""
    return float(value[:-1]) * _UNITS_S[value[-1]]


def plain_items(model: str, serial_number: str) -> dict[str, Item]:
    """Every plain item by its lower-case name."""
    on_off, auto_off = choice("On", "Off"), choice("Short", "Long", "Off")
    presets = choice(*_PRESETS)
    items = [
        Item("Type", model),
        Item("Serial Number", serial_number),
        Item("System Version", "01.02.0000"),
        Item("Battery Level", "Full"),
        Item("SD Card Total Size", "30436"),
        Item("SD Card Free Size", "29862"),
        Item("SD Card Percentage", "98"),
        Item("Echo", "Off", on_off, while_measuring=True),
        Item("Language", "English", choice("English", "Japanese", "German", "French", "Spanish")),
        Item("Key Lock", "Off", on_off, while_measuring=True),
        Item("Backlight", "Off", on_off, while_measuring=True),
        Item("LCD", "On", on_off, while_measuring=True),
        Item("Backlight Auto Off", "Short", auto_off),
        Item("LCD Auto Off", "Off", auto_off),
        Item("Backlight Brightness", "2", number(1, 4), while_measuring=True),
        Item("Battery Type", "Alkaline", choice("Alkaline", "Nickel")),
        Item("Index Number", "0001", number(0, 9999, 4)),
        Item("Store Mode", "Manual", choice("Manual", "Auto")),
        Item("Store Name", "0000", number(0, 9999, 4)),
        Item("Manual Address", "1", number(1, 1000)),
        Item("Measurement Time Preset Manual", "24h", presets),
        Item("Measurement Time Preset Auto", "24h", presets),
        Item("Lp Store Interval", "100ms", choice("Off", "10ms", "25ms", "100ms", "200ms", "1s")),
        Item("Leq Calculation Interval Preset", "10m", choice("Off", *_PRESETS)),
        Item("Moving Leq Interval Preset", "10m", presets),
        Item("Wave Rec Mode", "Off", on_off),
        Item("Sleep Mode", "Off", on_off),
        Item("Ethernet", "On", on_off),
        Item("TCP", "On", on_off, while_measuring=True),
        Item("FTP", "On", on_off, while_measuring=True),
        Item("Web", "Off", on_off),
        Item("USB Class", "Off", choice("Off", "CDC", "CDC/MSC")),
    ]
    for channel in ("Main", "Sub1", "Sub2", "Sub3"):
        items.append(Item(f"Frequency Weighting ({channel})", "A", choice("A", "C", "Z")))
        items.append(Item(f"Time Weighting ({channel})", "F", choice("F", "S", "I")))
    for name in DISPLAYED:
        shown = "Off" if name in _NOT_DISPLAYED_AT_FIRST else "On"
        items.append(Item(f"Display {name}", shown, on_off, while_measuring=True))
    for channel_number in (1, 2, 3):
        items.append(Item(f"Measure Display Sub Channel {channel_number}", "Off", on_off))
    for slot, percent in enumerate(PERCENTILES, start=1):
        items.append(Item(f"Percentile {slot}", percent, number(1, 99)))
    return {item.name.lower(): item for item in items}
