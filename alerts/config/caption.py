"""The display names of a subject and its metrics, which no rule or id depends on."""

from collections.abc import Mapping
from typing import NamedTuple

from alerts.model.metrics import Metric, metric_of


class Caption(NamedTuple):
    """`name` is None where a subject has none but its id; `symbols` says how its metrics are called, such as `LAF`.

    What is not in `symbols` is called by the symbol that claims no weighting. `quantities` are those that only its
    instrument knows, with their units.
    """

    name: str | None = None
    symbols: Mapping[str, str] = {}
    quantities: Mapping[str, Metric] = {}

    def metric(self, name: str) -> Metric:
        """What is known of a metric of the subject."""
        return self.quantities.get(name) or metric_of(name)

    def metric_label(self, name: str) -> str | None:
        """The symbol of a metric, `LAeq,15min` for one; None for what has none."""
        return self.symbols.get(name, self.metric(name).symbol)


UNNAMED = Caption()
