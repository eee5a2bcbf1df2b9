"""Which form the answer to which question has, so that the answer to another question is not taken for it. Pure."""

import re
from collections.abc import Callable, Mapping

from hub.nl43.commands import Command
from hub.nl43.fields import (
    FieldError,
    parse_battery,
    parse_clock,
    parse_frequency_weighting,
    parse_on_off,
    parse_overwrite,
    parse_percentile,
    parse_run_state,
    parse_sd_size_mb,
    parse_time_weighting,
)

_LONGEST = 100
_IN_COLUMNS = ("DOD", "DLC", "DRD")


def check_form(command: Command, line: str) -> None:
    """Raise FieldError where `line` cannot be the answer to this request.

    Lines in columns are left to whoever reads their columns. Of what is not listed no form is known, but that it is
    short and without columns.
    """
    if command.name in _IN_COLUMNS:
        return
    if "," in line or len(line) > _LONGEST:
        raise FieldError(
            f"the meter answered {line[:40]!a} to {command.line}: that is the answer to another command"
        )
    if (parse := _FORMS.get(command.name)) is not None:
        parse(line)


def _form(what: str, pattern: str) -> Callable[[str], None]:
    form = re.compile(pattern)

    def parse(line: str) -> None:
        if not form.fullmatch(line):
            raise FieldError(f"the meter answered {line[:40]!a} where a {what} was due")

    return parse


_FORMS: Mapping[str, Callable[[str], object]] = {
    "Measure": parse_run_state,
    "Sleep Mode": parse_on_off,
    "FTP": parse_on_off,
    "Pause": parse_on_off,
    "Clock": parse_clock,
    "Battery Level": parse_battery,
    "SD Card Free Size": parse_sd_size_mb,
    "SD Card Total Size": parse_sd_size_mb,
    "Overwrite": parse_overwrite,
    "Frequency Weighting (Main)": parse_frequency_weighting,
    "Time Weighting (Main)": parse_time_weighting,
    "Serial Number": _form("serial number", "[0-9]{8}"),
    "Type": _form("type", "NL-[0-9]{2}[A-Z]*"),
    **{f"Percentile {slot}": parse_percentile for slot in range(1, 6)},
}
