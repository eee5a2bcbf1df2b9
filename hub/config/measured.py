"""What the units of a configuration measure, and what to say of a rule on something that they do not."""

from collections.abc import Collection, Mapping

from alerts.model.metrics import METRICS
from hub.fields.spelling import Suggestions
from hub.kinds.registry import DEFAULT_KIND, kind_named

_SHOWN = 3
_ALWAYS = "reachable"


class Measured:
    """The metrics of each unit by its id, as config.yaml has them; of a unit whose kind is unknown all may be."""

    def __init__(self) -> None:
        self._of: dict[str, Collection[str] | None] = {}

    def add(self, unit_id: str, unit: Mapping[str, object]) -> None:
        """Take up a unit as it is written."""
        try:
            kind = kind_named(str(unit.get("kind", DEFAULT_KIND)))
        except KeyError:
            self._of[unit_id] = None
        else:
            self._of[unit_id] = kind.written_quantities(unit)

    def problem_with(self, metric: str, units: Collection[str] | None, suggestions: Suggestions) -> str | None:
        """What is wrong with a rule on this metric of these units (None: of all), or None."""
        if metric == _ALWAYS or (not self._of and metric in _usual()):
            return None
        if any(self._measures(unit, metric) for unit in (self._of if units is None else units)):
            return None
        measuring = [unit for unit in self._of if self._measures(unit, metric)]
        if units and measuring:
            others, some = "" if len(measuring) <= _SHOWN else " and others", ", ".join(measuring[:_SHOWN])
            return f"{', '.join(sorted(units)[:_SHOWN])} does not measure {metric!r}; {some}{others} does"
        known = {name for name, one in METRICS.items() if one.of == "machine"} | {_ALWAYS}
        known |= {name for names in self._of.values() for name in names or ()} if self._of else _usual()
        hint = suggestions.did_you_mean(metric, known) or f"; write one of {', '.join(sorted(known))}"
        return f"no unit measures {metric!r}{hint}"

    def _measures(self, unit: str, metric: str) -> bool:
        names = self._of.get(unit)
        return names is None or metric in names


def _usual() -> set[str]:
    """What a unit of the default kind measures: right where there is no unit yet."""
    return set(kind_named(DEFAULT_KIND).written_quantities({}))
