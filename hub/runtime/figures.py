"""Measurements of the hub itself: latencies as histograms, and the lag of the event loop."""

from bisect import bisect_left
from dataclasses import dataclass, field

import anyio
import structlog

from hub.runtime.clock import STANDSTILL_S, Clock

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram buckets, seconds; the last bucket is open."""

_LAG_EVERY_S = 0.1

log = structlog.get_logger()


@dataclass(slots=True)
class Histogram:
    """Seconds, counted per bucket of `BUCKETS_S`; `counts` are not cumulative."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    total_s: float = 0.0
    count: int = 0

    def observe(self, seconds: float) -> None:
        """Count one measurement, in seconds."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total_s += seconds
        self.count += 1


@dataclass(slots=True)
class Figures:
    """The histograms of one hub, seconds."""

    poll_s: Histogram = field(default_factory=Histogram)  # send to last byte
    readings_commit_s: Histogram = field(default_factory=Histogram)  # oldest reading of a batch to its commit
    loop_lag_s: Histogram = field(default_factory=Histogram)
    alerts_s: dict[str, Histogram] = field(default_factory=dict)  # by stage, see `AlertService`

    def alert_stage(self, stage: str, seconds: float) -> None:
        """Count how long a stage of alerting took."""
        self.alerts_s.setdefault(stage, Histogram()).observe(seconds)


async def run_loop_lag(clock: Clock, lag_s: Histogram) -> None:
    """Measure, until cancelled, how much too late the event loop wakes a sleeping task, in seconds."""
    while True:
        due = clock.steady() + _LAG_EVERY_S
        await anyio.sleep(_LAG_EVERY_S)
        late_s = max(0.0, clock.steady() - due)
        lag_s.observe(late_s)
        if late_s > STANDSTILL_S:
            log.warning("the hub stood still; silence of the meters counts from now", seconds=round(late_s, 1))
