"""The kind line: instruments that send or answer lines of text over TCP."""

from collections.abc import Collection, Mapping

from hub.instruments.kind import Kind
from hub.line.config import LineConfig
from hub.line.instrument import LineInstrument, metrics, symbols
from hub.line.probe import probe


def _written_quantities(unit: Mapping[str, object]) -> Collection[str]:
    quantities = unit.get("quantities")
    return [str(name) for name in quantities] if isinstance(quantities, Mapping) else []


LINE = Kind(
    name="line",
    config=LineConfig,
    quantities=metrics,
    written_quantities=_written_quantities,
    symbols=symbols,
    connect=LineInstrument,
    probe=probe,
)
