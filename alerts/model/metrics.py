"""The one table of metrics: what each is called, its unit, how it is shown, averaged and ruled on.

A metric that is not in the table is a quantity that some instrument defines: a plain number of a unit.
"""

from collections.abc import Mapping
from math import inf
from types import MappingProxyType
from typing import Literal, NamedTuple

Mean = Literal["energy", "arithmetic"]
Sort = Literal["instant", "total", "window", "state", "flag"]
Subject = Literal["unit", "machine", "hub"]


class Metric(NamedTuple):
    """A metric of a kind of subject.

    `symbol` is how people call it; None: by its name. `unit` is written behind a value, with `decimals` digits;
    None shows as many as there are. `mean` says how values are averaged over time; None: not at all.
    `sort`: a value of its instant, a total since the run started, a value over a window of time, a text, or true
    and false. `margin` is how far back over its threshold a value must go to clear. No value lies beyond `lowest`
    and `highest`.
    """

    name: str
    symbol: str | None = None
    unit: str = ""
    decimals: int | None = None
    mean: Mean | None = "arithmetic"
    sort: Sort = "instant"
    margin: float = 0.0
    lowest: float = -inf
    highest: float = inf
    of: Subject = "unit"

    @property
    def is_number(self) -> bool:
        """False for texts and for true and false."""
        return self.sort not in ("state", "flag")

    @property
    def is_level(self) -> bool:
        """True for sound levels."""
        return self.unit == "dB"

    def shown(self, value: float) -> str:
        """A number with its unit, such as `64.3 dB`."""
        number = f"{value:g}" if self.decimals is None else f"{value:.{self.decimals}f}"
        return f"{number} {self.unit}" if self.unit else number


def _level(name: str, symbol: str, mean: Mean | None, sort: Sort) -> Metric:
    return Metric(name, symbol, "dB", 1, mean, sort, margin=2.0, lowest=-50.0, highest=200.0)


_TOTALS = {"leq": "Leq", "le": "LE", "lmax": "Lmax", "lmin": "Lmin", "lpeak": "Lpeak"}
_PERCENTILES = {f"ln{slot}": f"LN{slot}" for slot in range(1, 6)}
_WINDOWED = {
    "laeq_1m": "Leq,1min",
    "laeq_5m": "Leq,5min",
    "laeq_15m": "Leq,15min",
    "laeq_1h": "Leq,1h",
    "la10_15m": "L10,15min",
    "la90_15m": "L90,15min",
}
_ALL = (
    _level("lp", "Lp", "energy", "instant"),
    *(_level(name, symbol, None, "total") for name, symbol in (_TOTALS | _PERCENTILES).items()),
    *(_level(name, symbol, None, "window") for name, symbol in _WINDOWED.items()),
    Metric("reachable", sort="flag", mean=None),
    Metric("status", sort="state", mean=None, of="machine"),
    Metric("status_category", sort="state", mean=None, of="machine"),
    Metric("lot_count", lowest=0.0, of="machine"),
    Metric("age_s", unit="s", lowest=0.0, of="machine"),
    Metric("ok", sort="flag", mean=None, of="hub"),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""By name."""

LEVELS: tuple[Metric, ...] = tuple(metric for metric in _ALL if metric.is_level)
"""The levels of a sound level meter, those over a window among them."""


def metric_of(name: str) -> Metric:
    """The metric of this name; one that is not in the table is a plain number of some unit."""
    return METRICS.get(name) or Metric(name)
