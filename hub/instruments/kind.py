"""A kind of instrument, as the hub registers it: its configuration, what it measures, and how it is connected."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from alerts.model.metrics import Metric
from hub.instruments.instrument import Instrument, OnChange, OnSettings
from hub.instruments.unit_config import UnitConfig
from hub.runtime.clock import Clock

C = TypeVar("C", bound=UnitConfig)


class Finding(NamedTuple):
    """One step of a probe: `is_good` None is for information only."""

    step: str
    is_good: bool | None
    text: str
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Kind(Generic[C]):
    """What the hub has to know of a kind; everything else stays in the folder of the kind.

    `config` is the model of its units, whose `kind` is `Literal[name]`.
    `quantities` of a unit, by name; `written_quantities` are the names of those of a unit as it stands in
    config.yaml, which may be wrong in any way.
    `symbols` says how the quantities are called while the instrument's settings are as given (None: unknown).
    `connect` makes the instrument, and opens nothing.
    `probe` asks an instrument that no hub is talking to, step by step; True when nothing bad was found.
    """

    name: str
    config: type[C]
    quantities: Callable[[C], Mapping[str, Metric]]
    written_quantities: Callable[[Mapping[str, object]], Collection[str]]
    symbols: Callable[[C, Mapping[str, str | None]], Mapping[str, str]]
    connect: Callable[[C, Clock, OnChange, OnSettings], Instrument]
    probe: Callable[[C, Callable[[Finding], None]], Awaitable[bool]]
