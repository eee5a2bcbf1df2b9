"""Dependencies of routes: the running parts, and the unit that a path names."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path
from starlette.requests import HTTPConnection

from alerts.model.moments import FIRST, LAST
from hub.units.unit import Unit
from hub.web.http.problems import not_found
from hub.web.parts import Parts

SHOWN_TEXT = r"^[^\x00-\x1f\x7f]*$"
"""Pattern of a text without control characters."""


async def _parts(connection: HTTPConnection) -> Parts:
    parts: Parts = connection.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(_parts)]


async def _unit(
    unit_id: Annotated[str, Path(max_length=64, description="The id of a unit, as in config.yaml.")], parts: PartsOf
) -> Unit:
    unit = parts.units.get(unit_id)
    if unit is None:
        raise not_found("unit", unit_id)
    return unit


UnitOf = Annotated[Unit, Depends(_unit)]
"""The unit named in the path, or 404."""


def within_reason(at: datetime) -> datetime:
    """A requested time in UTC, limited to the years that every database and time zone can hold."""
    return max(FIRST, min(at, LAST)).astimezone(UTC)
