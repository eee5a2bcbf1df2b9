"""Units: what they are, how they stand, and their latest reading."""

import json
from typing import Any, Literal

import anyio
import anyio.lowlevel
from fastapi import APIRouter, Response
from pydantic import BaseModel

from hub.nl43.link import LinkDown, Priority
from hub.unit import MeterRefused, Unit
from hub.web.access import PartsOf, UnitOf
from hub.web.problems import Problem, busy
from hub.web.roles import Operator, for_viewers

Feed = Literal["ok", "stale", "unreachable", "off"]
_UNITS_AT_ONCE = 50
_PATIENCE_S = 5.0
_ASK_S = 30.0


class Frame(BaseModel):
    """The latest reading of a unit. Levels in dB, None where unknown; `age_s` says how old they are."""

    unit_id: str
    sequence: int | None
    timestamp: str | None
    age_s: float | None
    feed_status: Feed
    measurement_state: Literal["Start", "Stop"] | None
    measurement_start_time: str | None
    counter: int | None
    lp: float | None
    leq: float | None
    le: float | None
    lmax: float | None
    lmin: float | None
    lpeak: float | None
    ln1: float | None
    ln2: float | None
    ln3: float | None
    ln4: float | None
    ln5: float | None
    reason: str | None = None
    quality: list[str]
    dropped: int
    raw_payload: str


class UnitDocument(BaseModel):
    """A unit as configured, how it stands, and its latest reading.

    `uncovered_rules` see nothing, as its readings are too few or too slow for their windows.
    """

    id: str
    name: str
    kind: str
    labels: dict[str, str]
    config: dict[str, Any]
    state: Feed
    reason: str | None
    uncovered_rules: list[str]
    snapshot: Frame


class UnitList(BaseModel):
    """Every unit."""

    items: list[UnitDocument]
    next_cursor: None = None


def unit_routes() -> APIRouter:
    """GET /api/units, and below it one unit, its snapshot, and a poll at once."""
    routes = APIRouter(prefix="/api/units", tags=["units"], dependencies=for_viewers())
    routes.add_api_route("", list_units, response_model=UnitList)
    routes.add_api_route("/{unit_id}", get_unit, response_model=UnitDocument)
    routes.add_api_route(
        "/{unit_id}/snapshot", get_snapshot, response_model=Frame, response_model_exclude_unset=True
    )
    routes.add_api_route(
        "/{unit_id}/poll", poll_unit, methods=["POST"], response_model=Frame, response_model_exclude_unset=True
    )
    return routes


async def list_units(parts: PartsOf) -> Response:
    """All units with their latest readings, from memory."""
    texts = []
    for number, unit in enumerate(list(parts.units.values())):
        if number % _UNITS_AT_ONCE == 0:
            await anyio.lowlevel.checkpoint()  # a thousand units at once would hold everybody up
        texts.append(json.dumps(describe(unit), separators=(",", ":"), allow_nan=False))
    return Response(f'{{"items":[{",".join(texts)}],"next_cursor":null}}', media_type="application/json")


async def get_unit(unit: UnitOf) -> dict[str, Any]:
    """One unit with its latest reading, from memory."""
    return describe(unit)


async def get_snapshot(unit: UnitOf) -> dict[str, Any]:
    """The latest reading, from memory: the meter is not asked."""
    return unit.frame()


async def poll_unit(unit: UnitOf, caller: Operator) -> dict[str, Any]:
    """Ask the meter now, before everything that waits for it. 409 when it refuses, 503 when it cannot be asked."""
    if unit.is_released:
        raise Problem(409, f"{unit.id} is released; POST /api/units/{unit.id}/resume first", reason="released")
    try:
        with anyio.fail_after(_ASK_S):
            await unit.poll(Priority.OPERATOR, patience_s=_PATIENCE_S)
    except MeterRefused as refusal:
        code = f"R+{refusal.result:04d}"
        raise Problem(409, f"{unit.id} answered {code}: {refusal.result.meaning}", code=code) from None
    except LinkDown as down:
        raise busy(f"{unit.id} cannot be asked now: {down.detail}", down.retry_in_s, reason=down.failure) from None
    except TimeoutError:
        raise busy(f"{unit.id} had no time for this within {_ASK_S:g} s", _PATIENCE_S, reason="busy") from None
    return unit.frame(with_raw=True)


def describe(unit: Unit) -> dict[str, Any]:
    """A unit as JSON."""
    config, frame = unit.config, unit.frame()
    return {
        "id": unit.id,
        "name": unit.name,
        "kind": config.kind,
        "labels": config.labels,
        "config": config.model_dump(mode="json"),
        "state": frame["feed_status"],
        "reason": unit.reason,
        "uncovered_rules": unit.uncovered_rules,
        "snapshot": frame,
    }
