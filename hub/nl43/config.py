"""The configuration of a unit of kind nl43."""

from typing import Literal

from hub.fields.scalars import Port
from hub.instruments.unit_config import UnitConfig


class NL43Config(UnitConfig):
    """One sound level meter.

    `keep_awake` lets the hub write `Sleep Mode,Off` to the meter while no run is on; it writes nothing else.
    """

    kind: Literal["nl43"] = "nl43"
    port: Port = 2255
    keep_awake: bool = False
