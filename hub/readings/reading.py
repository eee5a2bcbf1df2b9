"""What one poll of an instrument says: values by the name of their quantity, missing is None."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from alerts.model.metrics import METRICS, Metric


class AnyReading(Protocol):
    """What every reading answers. `raw` is the instrument's text; `over` and `under` None where it does not say."""

    @property
    def raw(self) -> str: ...

    @property
    def over(self) -> bool | None: ...

    @property
    def under(self) -> bool | None: ...

    @property
    def quantities(self) -> Mapping[str, float | None] | None:
        """Every value by name; None for the levels of a sound level meter, which have fields of their own."""

    def value(self, name: str) -> float | None:
        """The value of a quantity; None where it is missing."""

    def qualities(self, run_state: str | None) -> tuple[str, ...]:
        """What is wrong with the values, in the words of `alerts.model.sample.Quality`."""


def own_quantities(quantities: Mapping[str, Metric]) -> Mapping[str, Metric]:
    """Those of an instrument that are not in the table of metrics: it reports them as `QuantityReading`.

    None are left of a sound level meter, whose levels have fields and columns of their own.
    """
    return {name: metric for name, metric in quantities.items() if name not in METRICS}


def is_of(reading: AnyReading, quantities: Mapping[str, Metric]) -> bool:
    """Whether an instrument with these quantities may have given a reading: of its kind and in its units."""
    own = own_quantities(quantities)
    if not isinstance(reading, QuantityReading):
        return not own
    return bool(own) and all(
        own[name].unit == metric.unit for name, metric in reading.metrics.items() if name in own
    )


class QuantityReading(NamedTuple):
    """The values of an instrument by the names of its quantities, in their order; `metrics` says what they are."""

    quantities: Mapping[str, float | None]
    metrics: Mapping[str, Metric]
    raw: str = ""
    over: bool | None = None
    under: bool | None = None

    def value(self, name: str) -> float | None:
        """The value of a quantity; None where it is missing."""
        return self.quantities.get(name)

    def qualities(self, run_state: str | None) -> tuple[str, ...]:
        """`missing` where any value is; the instrument has no runs."""
        is_missing = None in self.quantities.values()
        flags = (("over", self.over), ("under", self.under), ("missing", is_missing))
        return tuple(name for name, is_set in flags if is_set)


class Reading(NamedTuple):
    """The main channel of a `DOD?` or `DLC?` line, dB. `over` and `under` are None when the meter left them out.

    `leq` to `lpeak` are totals since the run started; they stand still once the run has stopped.
    """

    lp: float | None
    leq: float | None
    le: float | None
    lmax: float | None
    lmin: float | None
    ln1: float | None
    ln2: float | None
    ln3: float | None
    ln4: float | None
    ln5: float | None
    lpeak: float | None
    lieq: float | None
    leq_mov: float | None
    ltm5: float | None
    over: bool | None
    under: bool | None
    raw: str

    @property
    def quantities(self) -> None:
        """None: the levels are fields."""

    def value(self, name: str) -> float | None:
        """A level in dB by its name; None where it is missing, and for what is no level."""
        found: float | None = getattr(self, name) if name in _LEVELS else None
        return found

    def qualities(self, run_state: str | None) -> tuple[str, ...]:
        """What is wrong with the levels; the totals are `frozen` once the run has stopped."""
        if not (self.over or self.under or self.lp is None or run_state != "Start"):
            return ()
        flags = (
            ("over", self.over is True),
            ("under", self.under is True),
            ("missing", self.lp is None),
            ("unknown_run", run_state is None),
            ("frozen", run_state == "Stop"),
        )
        return tuple(name for name, is_set in flags if is_set)


LEVEL_NAMES = Reading._fields[: Reading._fields.index("over")]
"""The fourteen levels of a channel, in the order of `DOD?`."""

_LEVELS = frozenset(LEVEL_NAMES)


class DrdReading(NamedTuple):
    """One line of the 100 ms stream, main channel: `counter` 1..600, values of that 100 ms alone, dB."""

    counter: int
    lp: float | None
    leq: float | None
    lmax: float | None
    lmin: float | None
    lpeak: float | None
    lieq: float | None
    over: bool | None
    under: bool | None
    raw: str
