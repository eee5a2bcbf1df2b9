"""How levels are called: the symbol of a quantity with the weightings and percentages the meter is set to.

A symbol claims no weighting that is not known: `Lp` becomes `LAF` once frequency and time weighting are, `Leq`
becomes `LAeq` once the frequency weighting is. The meter does not tell how it weights Lpeak, which stays `Lpeak`.
"""

from collections.abc import Mapping

from hub.nl43.commands import FREQUENCY_WEIGHTING, TIME_WEIGHTING
from hub.nl43.fields import FieldError, parse_frequency_weighting, parse_time_weighting
from hub.nl43.settings import PERCENTILES

_LENGTHS = {"1m": "1min", "5m": "5min", "15m": "15min", "1h": "1h"}


def labels(settings: Mapping[str, str | None]) -> dict[str, str]:
    """The symbol of every level of a frame and of every windowed level, by its name in the API.

    `settings` are the meter's answers by the name of the setting; None, or none at all, is unknown.
    """
    frequency = _frequency(settings.get(FREQUENCY_WEIGHTING.name))
    time = _time(settings.get(TIME_WEIGHTING.name)) if frequency else ""
    impulse = "I" if time == "I" else ""
    equivalent = f"L{frequency}{impulse}eq"
    found = {
        "lp": f"L{frequency}{time}" if frequency else "Lp",
        "leq": equivalent,
        "le": f"L{frequency}E",
        "lmax": f"L{frequency}{time}max",
        "lmin": f"L{frequency}{time}min",
        "lpeak": "Lpeak",
    }
    for slot, question in enumerate(PERCENTILES, start=1):
        percent = _percent(settings.get(question.name))
        found[f"ln{slot}"] = f"LN{slot}" if percent is None else f"L{percent}"
    for name, length in _LENGTHS.items():
        found[f"laeq_{name}"] = f"{equivalent},{length}"
    for percent in (10, 90):
        found[f"la{percent}_15m"] = f"L{frequency}{percent},15min"
    return found


def _frequency(line: str | None) -> str:
    try:
        return "" if line is None else parse_frequency_weighting(line)
    except FieldError:
        return ""


def _time(line: str | None) -> str:
    try:
        return "" if line is None else parse_time_weighting(line)
    except FieldError:
        return ""


def _percent(line: str | None) -> int | None:
    """1..99, with or without a leading zero."""
    is_number = line is not None and line.isascii() and line.isdigit() and len(line) <= 2
    return (int(line) or None) if is_number and line is not None else None
