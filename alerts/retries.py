"""When a failed delivery is tried again, and when it is given up: pure."""

_DELAYS_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 18000.0, 36000.0)
_LIFETIME_S = 72 * 3600.0
_JITTER = 0.1
_LEAST_S = 1.0


def retry_delay_s(attempts: int, age_s: float, chance: float, retry_after_s: float | None = None) -> float | None:
    """Seconds to the next attempt after `attempts` (>= 1) have failed; None when it is a dead letter.

    `age_s` counts from the first attempt, `chance` is uniform in [0, 1). The receiver's own Retry-After
    is obeyed, never asked before it and never more often than once a second; one that reaches beyond the 72 h
    is cut to their end, where the last attempt is made.
    """
    left_s = _LIFETIME_S - age_s
    if retry_after_s is not None:
        delay = min(max(retry_after_s, _LEAST_S) * (1 + _JITTER * chance), left_s)
        return None if delay < _LEAST_S else delay
    delay = _DELAYS_S[min(attempts, len(_DELAYS_S)) - 1] * (1 + _JITTER * (2 * chance - 1))
    return None if delay > left_s else delay
