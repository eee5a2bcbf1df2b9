"""The link to a unit's meter: the state of its connection, and its failures."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from alerts.model.moments import rfc3339
from hub.web.access import PartsOf, UnitOf
from hub.web.auth.roles import for_viewers


class LinkError(BaseModel):
    """The last failure."""

    failure: str
    detail: str
    at: str


class LinkDocument(BaseModel):
    """The link to a meter, since the hub or the link was started.

    `connected_s` is the age of the socket, None without one; `retry_in_s` the time until the next connect.
    `failures` counts by class. `stale_bytes` were dropped because they belong to no reply.
    """

    unit_id: str
    connected: bool
    connected_s: float | None
    connects: int
    retry_in_s: float
    queued: int
    last_success_at: str | None
    latency_ms: float | None
    last_error: LinkError | None
    failures: dict[str, int]
    bytes_received: int
    bytes_sent: int
    stale_bytes: int


def link_routes() -> APIRouter:
    """GET /api/units/{id}/link."""
    routes = APIRouter(prefix="/api/units/{unit_id}", tags=["units"], dependencies=for_viewers())
    routes.add_api_route("/link", get_link, response_model=LinkDocument)
    return routes


async def get_link(unit: UnitOf, parts: PartsOf) -> dict[str, Any]:
    """The state of the connection to the meter, from memory, without a request to the meter."""
    seen, now_s, now = unit.instrument.statistics(), parts.clock.steady(), parts.clock.now()

    def at(time: float) -> str:
        return rfc3339(now - timedelta(seconds=now_s - time))

    error = seen.last_error
    return {
        "unit_id": unit.id,
        "connected": unit.instrument.is_connected,
        "connected_s": None if seen.connected_since is None else round(now_s - seen.connected_since, 3),
        "connects": seen.connects,
        "retry_in_s": round(seen.retry_in_s, 3),
        "queued": seen.queued,
        "last_success_at": None if seen.last_answer is None else at(seen.last_answer),
        "latency_ms": None if seen.last_took_s is None else round(seen.last_took_s * 1000, 1),
        "last_error": error and {"failure": error.failure, "detail": error.detail, "at": at(error.time)},
        "failures": seen.failures,
        "bytes_received": seen.bytes_received,
        "bytes_sent": seen.bytes_sent,
        "stale_bytes": seen.stale_bytes,
    }
