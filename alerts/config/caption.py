"""How people call a subject and its metrics; rules and ids know neither."""

from collections.abc import Mapping
from typing import NamedTuple

from alerts.config.rule import LEVELS

_LEVEL_SYMBOLS = {
    "lp": "Lp",
    "leq": "Leq",
    "le": "LE",
    "lmax": "Lmax",
    "lmin": "Lmin",
    "lpeak": "Lpeak",
    "laeq_1m": "Leq,1min",
    "laeq_5m": "Leq,5min",
    "laeq_15m": "Leq,15min",
    "laeq_1h": "Leq,1h",
    "la10_15m": "L10,15min",
    "la90_15m": "L90,15min",
} | {f"ln{n}": f"LN{n}" for n in range(1, 6)}


class Caption(NamedTuple):
    """`name` is None where a subject has none but its id; `metrics` has the symbols of its levels, such as `LAF`.

    What is not in `metrics` is called by the symbol that claims no weighting.
    """

    name: str | None = None
    metrics: Mapping[str, str] = {}

    def metric_label(self, metric: str) -> str | None:
        """The symbol of a level, `LAeq,15min` for one; None for what is no level."""
        return self.metrics.get(metric, _LEVEL_SYMBOLS[metric]) if metric in LEVELS else None


UNNAMED = Caption()
