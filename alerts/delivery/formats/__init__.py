"""The channels that messages can be written for: a file each, or a folder, and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from alerts.delivery.formats import hub
from alerts.delivery.formats.format import Format

FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "hub": hub.FORMAT,
    }
)
"""By the name that a receiver gives as its `format`."""
