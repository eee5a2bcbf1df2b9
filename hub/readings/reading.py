"""What one line of the meter says: levels in dB, missing is None."""

from typing import NamedTuple

LEVEL_NAMES = (
    "lp", "leq", "le", "lmax", "lmin", "ln1", "ln2", "ln3", "ln4", "ln5", "lpeak", "lieq", "leq_mov", "ltm5",
)  # fmt: skip
"""The fourteen levels of a channel, in the order of `DOD?`."""


class Reading(NamedTuple):
    """The main channel of a `DOD?` or `DLC?` line, dB. `over` and `under` are None when the meter left them out.

    `leq` to `lpeak` are totals since the run started; they stand still once the run has stopped.
    """

    lp: float | None
    leq: float | None
    le: float | None
    lmax: float | None
    lmin: float | None
    ln1: float | None
    ln2: float | None
    ln3: float | None
    ln4: float | None
    ln5: float | None
    lpeak: float | None
    lieq: float | None
    leq_mov: float | None
    ltm5: float | None
    over: bool | None
    under: bool | None
    raw: str


class DrdReading(NamedTuple):
    """One line of the 100 ms stream, main channel: `counter` 1..600, values of that 100 ms alone, dB."""

    counter: int
    lp: float | None
    leq: float | None
    lmax: float | None
    lmin: float | None
    lpeak: float | None
    lieq: float | None
    over: bool | None
    under: bool | None
    raw: str
