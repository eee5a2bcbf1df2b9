"""Every kind of instrument, one line each; and the model of a unit, which is that of its kind."""

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from hub.instruments.kind import Kind
from hub.instruments.unit_config import UnitConfig
from hub.line.kind import LINE
from hub.nl43.kind import NL43

KINDS: tuple[Kind[Any], ...] = (NL43, LINE)
DEFAULT_KIND = NL43.name


def kind_of(config: UnitConfig) -> Kind[Any]:
    """The kind of a unit."""
    return kind_named(config.kind)


def kind_named(name: str) -> Kind[Any]:
    """The kind of this name. Raises KeyError."""
    found = next((kind for kind in KINDS if kind.name == name), None)
    if found is None:
        raise KeyError(name)
    return found


def _written_kind(unit: object) -> str:
    """What a unit in config.yaml, or a unit made, says of its kind; without a word it is the default."""
    kind = unit.get("kind", DEFAULT_KIND) if isinstance(unit, dict) else getattr(unit, "kind", DEFAULT_KIND)
    return str(kind)


def unit_model() -> Any:
    """The union of the models of all kinds, told apart by `kind`."""
    models = (Annotated[kind.config, Tag(kind.name)] for kind in KINDS)
    return Annotated[reduce(or_, models), Discriminator(_written_kind)]
