"""The kind nl43: sound level meters NL-43 and NL-53 of Rion."""

from hub.instruments.kind import Kind
from hub.nl43.config import NL43Config
from hub.nl43.instrument import QUANTITIES, NL43Instrument
from hub.nl43.labels import labels
from hub.nl43.probe import probe

NL43 = Kind(
    name="nl43",
    config=NL43Config,
    quantities=lambda config: QUANTITIES,
    written_quantities=lambda unit: QUANTITIES,
    symbols=lambda config, settings: labels(settings),
    connect=NL43Instrument,
    probe=probe,
)
