"""Delays between attempts: doubling to a cap, with full jitter above the first. Pure."""


def backoff(attempt: int, first_s: float, cap_s: float, roll: float) -> float:
    """Seconds to wait after failure number `attempt` (1, 2, …).

    The first delay is exactly `first_s`, because the other side may rely on it; later ones lie between it and
    `first_s * 2 ** (attempt - 1)`, at most `cap_s`. `roll` is a random number in [0, 1).
    """
    ceiling = min(cap_s, first_s * 2.0 ** min(attempt - 1, 32))
    floor = min(first_s, ceiling)
    return floor + (ceiling - floor) * roll
