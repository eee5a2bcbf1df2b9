"""The statistics of a cache, in one shape for the API and for metrics."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """The statistics of one cache. `size` is its capacity, `entries` what it holds now, both in `unit`.

    `enabled`: Redis is configured and can be used; without it the process tier serves alone. `ttl_s`: how long an
    entry serves before Redis is read again. `keep_s`: how long Redis keeps one. `loads`: values read from Redis.
    """

    name: str
    enabled: bool
    entries: int
    size: int
    unit: str
    ttl_s: float
    keep_s: float
    hits: int
    misses: int
    loads: int
    failures: int
    evictions: int
