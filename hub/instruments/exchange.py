"""The result of a request to an instrument: an answer, or the reason why there is none."""

from enum import IntEnum
from typing import NamedTuple

from hub.readings.reading import AnyReading
from hub.readings.snapshot import Failure


class Priority(IntEnum):
    """The origin of a request; the lowest is sent first."""

    OPERATOR = 0
    MONITOR = 1
    BACKGROUND = 2


class Received(NamedTuple):
    """A reading, and when it was received.

    `time` is when its last byte came (steady clock, seconds), `took_s` from the send until then, `held_s` how long
    it was held back after that: nothing else could be sent meanwhile.
    """

    reading: AnyReading
    time: float
    took_s: float
    held_s: float = 0.0


class LinkDown(Exception):
    """The instrument could not be asked, or did not answer as it should. `retry_in_s`: when it can be tried again.

    `was_tried` False: nothing was sent and no connect made, because the link pauses or is being stopped.
    `is_name_unknown`: the host name has no address, so the instrument has nothing to do with it.
    """

    def __init__(
        self,
        failure: Failure,
        detail: str,
        retry_in_s: float,
        was_tried: bool = True,
        is_name_unknown: bool = False,
    ) -> None:
        super().__init__(f"{failure.value}: {detail}")
        self.failure = failure
        self.detail = detail
        self.retry_in_s = retry_in_s
        self.was_tried = was_tried
        self.is_name_unknown = is_name_unknown


class NotWanted(Exception):
    """The command was not sent, because it was not wanted any more at the moment of sending."""


class Refused(Exception):
    """The instrument answered a poll with a refusal; the connection is good. `time`: steady clock, seconds."""

    def __init__(self, code: str, meaning: str, time: float) -> None:
        super().__init__(f"{code}: {meaning}")
        self.code = code
        self.meaning = meaning
        self.time = time


class LastError(NamedTuple):
    """The last thing that went wrong; `time` on the steady clock, seconds."""

    failure: Failure
    detail: str
    time: float
    is_name_unknown: bool = False


class LinkStatistics(NamedTuple):
    """The counters and latest results of a link. Times are the steady clock, seconds; None: it never happened.

    `connected_since` is None while there is no connection. `failures` counts every exchange or connect that failed.
    `stale_bytes` were dropped because they belong to no answer.
    """

    connected_since: float | None
    connects: int
    last_answer: float | None
    last_took_s: float | None
    last_error: LastError | None
    failures: dict[Failure, int]
    retry_in_s: float
    queued: int
    bytes_received: int
    bytes_sent: int
    stale_bytes: int
