"""One value of one metric of one subject at one instant: the only input of alerting."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

Value = float | str | bool | None


class Quality(StrEnum):
    """How far a sample's value can be used. Only `ok` and `over` decide, and `under` over a window."""

    OK = "ok"
    OVER = "over"  # over-range: counts as exceeding an `above` rule
    UNDER = "under"  # under-range: holds
    MISSING = "missing"  # the source had no value: holds
    FROZEN = "frozen"  # a result that no longer moves, such as a run total of a stopped run: holds
    UNKNOWN_RUN = "unknown_run"  # a run total while the run state is unknown or too old: holds
    RUN_ENDED = "run_ended"  # the run a total belonged to has ended: clears with reason `run-ended`
    UNREACHABLE = "unreachable"  # a tick while the subject cannot be reached: holds everything
    TICK = "tick"  # time passing without a sample


class WindowBasis(NamedTuple):
    """The readings of Lp behind a value over a window of time, and how much of the window they cover.

    `quality` says what of some of them: `under` (counted at the range's lower end), `over` (at the upper).
    """

    samples: int
    coverage: float  # 0..1
    quality: tuple[str, ...] = ()


class Sample(NamedTuple):
    """A value as it was measured.

    `time` is a steady clock in seconds: it decides every duration and never steps.
    `at` is the wall clock (aware UTC): it is shown, stored, and decides schedules.
    `cadence_s` is how often the subject is sampled from here on, as often as it can be: it decides how long after
    this sample the next one still continues it. The interval between two samples is judged by the first of them.
    `silent_s` is filled in on a tick: how long the subject has had no value.
    `window` is of a windowed value. Such a one with the quality `under` is a number that decides all the same.
    """

    subject: str
    metric: str
    value: Value
    at: datetime
    time: float
    quality: Quality = Quality.OK
    reason: str | None = None
    cadence_s: float = 1.0
    silent_s: float = 0.0
    window: WindowBasis | None = None
