"""One minute of one quantity: how its readings add up, and what is written of it. Pure.

The weight of a reading is the time that it stands for. `total` is the sum of weight and value, or of weight and
`10^(value/10)` where the quantity is averaged by its energy; `mean` follows from it, and is None where a mean makes
no sense, as of a direction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import log10
from typing import Any

from alerts.model.metrics import Mean, Metric
from hub.store.quantity_key import metric_of_key

Key = tuple[str, datetime, str]
"""Unit, start of the minute, key of the quantity."""

COLUMNS = (
    "unit_id", "at", "quantity", "averaging", "mean", "min", "max", "last", "count", "coverage", "total",
    "weight_s", "covered_s",
)  # fmt: skip

ADD = """ON CONFLICT (unit_id, at, quantity) DO UPDATE SET
    averaging = excluded.averaging,
    mean = CASE WHEN excluded.averaging IS NULL OR quantity_minutes.weight_s + excluded.weight_s <= 0 THEN NULL
        WHEN excluded.averaging = 'arithmetic'
        THEN (quantity_minutes.total + excluded.total) / (quantity_minutes.weight_s + excluded.weight_s)
        WHEN quantity_minutes.total + excluded.total > 0 THEN
        10 * log10((quantity_minutes.total + excluded.total) / (quantity_minutes.weight_s + excluded.weight_s)) END,
    min = CASE WHEN excluded.min IS NULL OR quantity_minutes.min <= excluded.min
        THEN quantity_minutes.min ELSE excluded.min END,
    max = CASE WHEN excluded.max IS NULL OR quantity_minutes.max >= excluded.max
        THEN quantity_minutes.max ELSE excluded.max END,
    last = COALESCE(excluded.last, quantity_minutes.last),
    count = quantity_minutes.count + excluded.count,
    coverage = CASE WHEN quantity_minutes.covered_s + excluded.covered_s >= 60 THEN 1.0
        ELSE (quantity_minutes.covered_s + excluded.covered_s) / 60.0 END,
    total = quantity_minutes.total + excluded.total,
    weight_s = quantity_minutes.weight_s + excluded.weight_s,
    covered_s = quantity_minutes.covered_s + excluded.covered_s"""


@dataclass(slots=True)
class QuantitySum:
    """What readings add to a minute, or to a step, of one quantity."""

    averaging: Mean | None
    total: float = 0.0
    weight_s: float = 0.0
    min: float | None = None
    max: float | None = None
    last: float | None = None
    count: int = 0
    covered_s: float = 0.0

    def add(self, value: float | None, weight_s: float, covered_s: float) -> None:
        """Add one reading; one without a value is counted and stands for no time."""
        counted_s = covered_s if covered_s < weight_s else weight_s
        weighted = 0.0 if value is None or self.averaging is None else counted_s * linear(value, self.averaging)
        self.count += 1
        self.covered_s += covered_s
        if value is not None:
            self.total += weighted
            self.weight_s += counted_s
            self.min = value if self.min is None or value < self.min else self.min
            self.max = value if self.max is None or value > self.max else self.max
            self.last = value

    @property
    def mean(self) -> float | None:
        """The mean; None where no reading has a value, or a mean makes no sense."""
        return mean_of(self.averaging, self.total, self.weight_s)


Sums = dict[Key, QuantitySum]


def linear(value: float, averaging: Mean) -> float:
    """What is summed of a value. Raises OverflowError for a level that no energy can be reckoned of."""
    return float(10.0 ** (value / 10.0)) if averaging == "energy" else value


def mean_of(averaging: str | None, total: float, weight_s: float) -> float | None:
    """The mean of what was summed."""
    if averaging is None or weight_s <= 0 or (averaging == "energy" and total <= 0):
        return None
    return 10.0 * log10(total / weight_s) if averaging == "energy" else total / weight_s


def add_reading(
    sums: Sums,
    unit_id: str,
    at: datetime,
    values: Mapping[str, float | None],
    metrics: Mapping[str, Metric],
    weight_s: float,
    covered_s: float,
) -> None:
    """Add the values of a reading, by their keys, to their minutes. Raises OverflowError, then nothing is added."""
    minute = at.replace(second=0, microsecond=0)
    averaging = {key: (metrics.get(key) or metric_of_key(key)).mean for key in values}
    for name, value in values.items():
        if value is not None and (how := averaging[name]) is not None:
            linear(value, how)
    for name, value in values.items():
        key = (unit_id, minute, name)
        if key not in sums:
            sums[key] = QuantitySum(averaging[name])
        sums[key].add(value, weight_s, covered_s)


def rows_of(sums: Sums, times: Mapping[datetime, Any]) -> Iterable[tuple[Any, ...]]:
    """Rows in the order of `COLUMNS`; `times` has the starts of the minutes as the driver wants them."""
    for (unit_id, at, name), one in sorted(sums.items(), key=lambda item: item[0]):
        yield (
            unit_id, times[at], name, one.averaging, one.mean, one.min, one.max, one.last, one.count,
            min(1.0, one.covered_s / 60.0), one.total, one.weight_s, one.covered_s,
        )  # fmt: skip
