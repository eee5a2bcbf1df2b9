"""The settings of a meter that are asked for."""

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
