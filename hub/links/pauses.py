"""How long to wait after a failure before the next connect. Pure."""

from hub.runtime.backoff import backoff

_FORGIVEN_S = 60.0
_SHORT_SESSION_S = 10.0
_MOST = 8.0  # failures remembered: enough for the longest pause, and forgiven in eight good minutes
_BAD_SESSIONS = 5
_PATIENCE = 5.0
_LEAST_ROLL = 0.85


class Pauses:
    """Counts the failures of an instrument's connections and says how long to wait before the next connect.

    Pauses double with each failure up to `cap_s`. One failure is forgiven per minute of answers, so that an
    instrument which answers once or for half a minute and then fails is not connected to at once, over and over.
    After more than five connections in a row that opened but brought answers for less than 10 s, pauses grow to
    five times the cap: reconnects only burden such an instrument. Times are the steady clock, seconds.
    """

    def __init__(self, cap_s: float) -> None:
        self.cap_s = cap_s
        self._failures = 0.0
        self._bad_sessions = 0
        self._first_answer_s: float | None = None
        self._last_answer_s = 0.0

    @property
    def failures(self) -> int:
        """Failures in a row, less those forgiven."""
        return int(self._failures)

    def answered(self, now_s: float) -> None:
        """Count a good answer."""
        if self._first_answer_s is None:
            self._first_answer_s = now_s
        self._last_answer_s = now_s

    def failed(self, first_s: float, was_connected: bool, roll: float) -> float:
        """A connection failed or could not be had: seconds until the next attempt, `first_s` for a first failure.

        `roll` is a random number in [0, 1): the later pauses of a fleet drift apart.
        """
        good_s = 0.0 if self._first_answer_s is None else self._last_answer_s - self._first_answer_s
        self._first_answer_s = None
        self._failures = min(max(0.0, self._failures - good_s / _FORGIVEN_S) + 1.0, _MOST)
        if was_connected:
            self._bad_sessions = self._bad_sessions + 1 if good_s < _SHORT_SESSION_S else 0
        return backoff(self.failures, first_s, max(first_s, self.longest_s), _LEAST_ROLL + (1 - _LEAST_ROLL) * roll)

    @property
    def longest_s(self) -> float:
        """The longest pause, in seconds."""
        return self.cap_s * (_PATIENCE if self._bad_sessions > _BAD_SESSIONS else 1.0)
