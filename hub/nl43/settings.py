"""The settings of a meter: which are asked for, what was answered, and how old that is."""

from typing import NamedTuple

from hub.nl43.commands import (
    FREQUENCY_WEIGHTING,
    SERIAL_NUMBER,
    SLEEP_MODE,
    TIME_WEIGHTING,
    TYPE,
    Command,
    percentile,
)

PERCENTILES = tuple(percentile(slot) for slot in range(1, 6))
SETTINGS: tuple[Command, ...] = (
    FREQUENCY_WEIGHTING, TIME_WEIGHTING, SERIAL_NUMBER, TYPE, *PERCENTILES, SLEEP_MODE,
)  # fmt: skip
"""In the order in which a meter that is not known yet is asked."""
IDENTITY = (TYPE, SERIAL_NUMBER)
LONGEST_VALUE = 100
"""Characters of a value that are kept."""


class Setting(NamedTuple):
    """What the meter answered, as it wrote it. Times are the steady clock, seconds.

    `value` is None where it refused, with the result code `refusal`, such as `R+0001`. `asked_s` is when it was
    asked last, `since_s` when it gave this value for the first time.
    """

    value: str | None
    asked_s: float
    since_s: float
    refusal: str | None = None
