"""How long a complete reply is held back: until the true one would have come, had this been another's. Pure."""

from collections import deque

_REMEMBERED = 32
_LEARNING = 3
_USUAL_S, _LEAST_S = 0.4, 0.15  # what meters take; what is asked of one that needs no gap, a simulator
_MARGIN = 1.5
_RARE = 10
_DOUBT_S = 1.0
_SUSPICION_S = 10.0


class Holdback:
    """Learns how fast a meter answers, and says how long a reply must stay the only one.

    Nothing in a reply tells which command it answers: a copy of an earlier reply, or a line nobody asked for, that
    arrives between a command and its reply looks like the reply. But then the true one follows. So a reply counts
    once the time in which this meter answers is over and no second one has come. For ten seconds after anything
    came unasked that time is a second at least. Times are the steady clock, seconds.
    """

    def __init__(self, reply_timeout_s: float, gap_s: float = 1.0) -> None:
        self._longest_s = reply_timeout_s
        self._first_s = max(min(_USUAL_S, gap_s), _LEAST_S)
        self._latencies: deque[float] = deque(maxlen=_REMEMBERED)
        self._suspect_until_s = float("-inf")

    def came_unasked(self, now_s: float) -> None:
        """Bytes arrived that belong to no answer."""
        self._suspect_until_s = now_s + _SUSPICION_S

    def hold_s(self, now_s: float) -> float:
        """Seconds from the send of a command until its complete reply may count."""
        hold_s = self._slow_s() * _MARGIN
        if len(self._latencies) < _LEARNING:
            hold_s = max(hold_s, self._first_s)
        if now_s < self._suspect_until_s:
            hold_s = max(hold_s, _DOUBT_S)
        return min(hold_s, self._longest_s)

    def _slow_s(self) -> float:
        """What an answer takes that is slow but not rare: a slow one in ten holds up no other."""
        known = sorted(self._latencies)
        return known[-1 - len(known) // _RARE] if known else 0.0

    def accepted(self, took_s: float) -> None:
        """A reply counted; it took this long."""
        self._latencies.append(took_s)
