"""Measurements of the benches: percentiles, memory and loop lag; and the names that a bench and its peer share."""

import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from hub.runtime.memory import resident_bytes

SECRET = "whsec_YmVuY2gtc2VjcmV0LW9mLXRoZS1tb25pdG9yLWh1Yg=="
_LAG_EVERY_S = 0.01


def unit_id(index: int) -> str:
    """The id of unit `index`."""
    return f"u{index:04}"


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def milliseconds(seconds: Sequence[float]) -> dict[str, float | int | None]:
    """The median, p99 and maximum in ms, and the number of values."""

    def ms(value: float | None) -> float | None:
        return None if value is None else round(value * 1000, 2)

    return {
        "p50_ms": ms(percentile(seconds, 50)),
        "p99_ms": ms(percentile(seconds, 99)),
        "max_ms": ms(max(seconds, default=None)),
        "count": len(seconds),
    }


def rss_mb() -> float:
    """Resident memory of this process, MB; 0 on systems without /proc."""
    return round((resident_bytes() or 0) / (1 << 20), 1)


def peak_rss_mb() -> float:
    """The peak resident memory of this process, MB; 0 on systems without /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


async def run_lag(lags_s: list[float]) -> None:
    """Record every 10 ms how much too late the event loop wakes a sleeping task, in seconds."""
    while True:
        due = time.monotonic() + _LAG_EVERY_S
        await anyio.sleep(_LAG_EVERY_S)
        lags_s.append(max(0.0, time.monotonic() - due))
