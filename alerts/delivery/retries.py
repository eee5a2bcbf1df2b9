"""When a failed delivery is tried again, and when it is given up: pure."""

from alerts.delivery.answers import MOST_WAIT_S

_DELAYS_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0, 36000.0)
_REFUSED_S = (300.0, 3600.0, 21600.0, 43200.0)
_LIFETIME_S = 72 * 3600.0
_JITTER = 0.1
MOST_DELAY_S = max(*_DELAYS_S, *_REFUSED_S) * (1 + _JITTER)
"""No message waits for its next attempt longer than this."""

_LEAST_S = 1.0
_FIRST_WAIT_S, _MOST_UNASKED_S = 5.0, 300.0


def retry_delay_s(attempts: int, age_s: float, chance: float, retry_after_s: float | None = None) -> float | None:
    """Seconds to the next attempt after `attempts` (>= 1) have failed; None when it is a dead letter.

    `age_s` counts from the first attempt, `chance` is uniform in [0, 1). The receiver's own Retry-After
    is obeyed, never asked before it and never more often than once a second; one that reaches beyond the 72 h
    is cut to their end, where the last attempt is made.
    """
    if retry_after_s is None:
        return _next(_DELAYS_S, attempts, age_s, chance)
    left_s = _LIFETIME_S - age_s
    delay = min(max(retry_after_s, _LEAST_S) * (1 + _JITTER * chance), left_s)
    return None if delay < _LEAST_S else delay


def refused_delay_s(attempts: int, age_s: float, chance: float) -> float | None:
    """The same for a message that was refused for its content: it is tried less often."""
    return _next(_REFUSED_S, attempts, age_s, chance)


def wait_delay_s(waits: int, chance: float, asked_s: float | None) -> float:
    """Seconds to leave a receiver alone that has said so `waits` times in a row (>= 1), an hour at most.

    Without a time of its own: 5 s, doubled each time, five minutes at most.
    """
    if asked_s is not None:
        return min(max(asked_s, _LEAST_S) * (1 + _JITTER * chance), MOST_WAIT_S)
    return min(_FIRST_WAIT_S * 2.0 ** min(waits - 1, 10), _MOST_UNASKED_S) * (1 + _JITTER * chance)


def early_retry_s(times: int) -> float:
    """How long after its last attempt a message may be tried early because another got through.

    Doubled each time, so that a message which the receiver cannot take is not tried with every other one.
    """
    return _FIRST_WAIT_S * 2.0 ** min(times, 16)


def _next(delays_s: tuple[float, ...], attempts: int, age_s: float, chance: float) -> float | None:
    delay = delays_s[min(attempts, len(delays_s)) - 1] * (1 + _JITTER * (2 * chance - 1))
    return None if delay > _LIFETIME_S - age_s else delay
