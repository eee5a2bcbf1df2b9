"""When one receiver may be asked at all, and how fast what it missed is sent: pure.

open -> paused (it said wait) -> probing (the pause is over, one message is out) -> open, or paused again
"""


class Pace:
    """Tells when the next message may go. New messages go at once while it is open; missed ones keep a distance."""

    def __init__(self, count: int, period_s: float) -> None:
        """Missed messages go at `count` per `period_s` seconds, evenly spread."""
        self.waits = 0  # how often in a row the receiver said wait
        self._distance_s = period_s / count
        self._next_missed_s = 0.0
        self._until_s: float | None = None
        self._probe: str | None = None

    @property
    def is_paused(self) -> bool:
        """From the moment the receiver says wait until the probe after it is answered otherwise."""
        return self._until_s is not None

    def opens_at_s(self) -> float | None:
        """When a message may go; None while the answer to a probe is awaited."""
        if self._probe is not None:
            return None
        return 0.0 if self._until_s is None else self._until_s

    def missed_at_s(self) -> float | None:
        """When a missed message may go; None while the answer to a probe is awaited."""
        opens_s = self.opens_at_s()
        return None if opens_s is None else max(opens_s, self._next_missed_s)

    def counts(self, id_: str) -> bool:
        """Whether a wait answered to this message is one more in a row, not one of those already under way."""
        return not self.is_paused or id_ == self._probe

    def pause(self, until_s: float) -> float:
        """The receiver said wait: nothing goes before `until_s`, or before a later moment, which is returned."""
        self._until_s = until_s if self._until_s is None else max(self._until_s, until_s)
        return self._until_s

    def sent(self, id_: str, is_missed: bool, now_s: float) -> None:
        """This message is out now."""
        if self._until_s is not None:
            self._probe = id_
        if is_missed:
            self._next_missed_s = now_s + self._distance_s

    def answered(self, id_: str, is_wait: bool = False) -> None:
        """There is an answer to this message; with `is_wait` the receiver said wait once more."""
        if id_ == self._probe:
            self._probe = None
            if not is_wait:
                self._until_s, self.waits = None, 0

    def recover(self) -> None:
        """Nothing is out any more, and no answer will come."""
        self._probe = None
