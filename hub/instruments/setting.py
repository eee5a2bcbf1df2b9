"""A setting of an instrument: what it answered, and how old that is."""

from typing import NamedTuple


class Setting(NamedTuple):
    """What the instrument answered, as it wrote it. Times are the steady clock, seconds.

    `value` is None where it refused, with the result code `refusal`, such as `R+0001`. `asked_s` is when it was
    asked last, `since_s` when it gave this value for the first time.
    """

    value: str | None
    asked_s: float
    since_s: float
    refusal: str | None = None
