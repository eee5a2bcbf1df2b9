"""Monitors: whether they run and why, and how operators switch them."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from hub.units.unit import Unit
from hub.web.access import PartsOf, UnitOf
from hub.web.auth.roles import Operator, for_viewers


class Monitor(BaseModel):
    """The live monitor of a unit. `subscribers` watch it; `skipped_by_poller` counts needless background polls."""

    unit_id: str
    running: bool
    mode: Literal["watched", "idle", "backoff", "off"]
    subscribers: int
    keep_alive: bool
    reachable: bool | None
    released: bool
    skipped_by_poller: int


class MonitorList(BaseModel):
    """The monitor of every unit."""

    items: list[Monitor]
    next_cursor: None = None


class MonitorOrder(BaseModel):
    """`keep_alive`: run without viewers too."""

    model_config = ConfigDict(extra="forbid")

    keep_alive: bool


def monitor_routes() -> APIRouter:
    """GET /api/monitors; under a unit PUT monitor, POST release and resume."""
    routes = APIRouter(prefix="/api", tags=["monitors"], dependencies=for_viewers())
    routes.add_api_route("/monitors", list_monitors, response_model=MonitorList)
    unit = "/units/{unit_id}"
    routes.add_api_route(f"{unit}/monitor", keep_monitor, methods=["PUT"], response_model=Monitor)
    routes.add_api_route(f"{unit}/release", release_unit, methods=["POST"], response_model=Monitor)
    routes.add_api_route(f"{unit}/resume", resume_unit, methods=["POST"], response_model=Monitor)
    return routes


async def list_monitors(parts: PartsOf) -> dict[str, Any]:
    """The state of each monitor."""
    return {"items": [describe(unit) for unit in parts.units.values()], "next_cursor": None}


async def keep_monitor(order: MonitorOrder, unit: UnitOf, parts: PartsOf, caller: Operator) -> dict[str, Any]:
    """Keep the monitor on without viewers, or not. It survives a restart, until the configuration changes it."""
    await parts.keep_alive(unit.id, order.keep_alive)
    return describe(unit)


async def release_unit(unit: UnitOf, parts: PartsOf, caller: Operator) -> dict[str, Any]:
    """Close the meter's only connection until resumed, also across a restart. Repeating it changes nothing."""
    await parts.release(unit.id, True)
    return describe(unit)


async def resume_unit(unit: UnitOf, parts: PartsOf, caller: Operator) -> dict[str, Any]:
    """Connect to the meter again. Repeating it changes nothing."""
    await parts.release(unit.id, False)
    return describe(unit)


def describe(unit: Unit) -> dict[str, Any]:
    """A unit's monitor as JSON."""
    return {
        "unit_id": unit.id,
        "running": unit.is_wanted,
        "mode": unit.mode,
        "subscribers": unit.viewers,
        "keep_alive": unit.keep_alive,
        "reachable": unit.reachable,
        "released": unit.is_released,
        "skipped_by_poller": unit.skipped_by_poller,
    }
