"""How SQL calls a quantity: by its name and its unit, such as `wind m/s`. Pure.

So a value keeps the unit that it was measured in. Where a configuration gives a quantity another unit, what was
measured before is another quantity: it stays in SQL, and is shown again only under its own unit.
"""

from collections.abc import Mapping

from alerts.model.metrics import Metric, metric_of


def key_of(metric: Metric) -> str:
    """The key of a quantity; its name holds no space."""
    return f"{metric.name} {metric.unit}" if metric.unit else metric.name


def metric_of_key(key: str) -> Metric:
    """What the key says of its quantity: the name and the unit."""
    name, _, unit = key.partition(" ")
    return metric_of(name)._replace(unit=unit)


def by_key(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The metrics by their keys, in their order."""
    return {key_of(metric): metric for metric in metrics.values()}
