"""Admission to a lane: limits the statements at once, the callers that wait, and how long; refuses the others."""

from hub.oracle.connection import OracleError
from hub.runtime.slots import BoundedSlots


class LaneBusy(OracleError):
    """The lane refuses the statement before anything is sent to the database; retry in `retry_after_s` seconds.

    `code` is BUSY (no free slot), BREAKER (the database is unavailable) or FLEET (the sessions of all hubs are
    used up).
    """

    def __init__(self, lane: str, code: str, text: str, retry_after_s: float) -> None:
        super().__init__(code, text)
        self.lane = lane
        self.retry_after_s = retry_after_s


class Admission(BoundedSlots):
    """`slots` callers at once; `waiters` more wait, each for `wait_s` seconds at most. Refuses with `LaneBusy`."""

    def __init__(self, lane: str, slots: int, waiters: int, wait_s: float) -> None:
        def busy(reason: str) -> LaneBusy:
            return LaneBusy(lane, "BUSY", f"the {lane} lane is full: {reason}", max(1.0, wait_s / 2))

        super().__init__(slots, waiters, wait_s, busy)
