"""Units: their configuration, their state, and their latest reading."""

import json
from datetime import timedelta
from typing import Any, Literal

import anyio
import anyio.lowlevel
from fastapi import APIRouter, Response
from pydantic import BaseModel

from alerts.model.moments import rfc3339
from hub.instruments.exchange import LinkDown, Priority, Refused
from hub.readings.reading import own_quantities
from hub.runtime.clock import Clock
from hub.units.unit import Unit
from hub.web.access import PartsOf, UnitOf
from hub.web.auth.roles import Operator, for_viewers
from hub.web.http.problems import Problem, busy

Feed = Literal["ok", "stale", "unreachable", "off"]
_UNITS_AT_ONCE = 50
_PATIENCE_S = 5.0
_POLL_S = 30.0


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


class QuantityFrame(BaseModel):
    """The latest reading of a unit that is no sound level meter: its values by name, None where unknown."""

    unit_id: str
    sequence: int | None
    timestamp: str | None
    age_s: float | None
    feed_status: Feed
    measurement_state: None
    measurement_start_time: None
    counter: None
    quantities: dict[str, float | None]
    reason: str | None = None
    quality: list[str]
    dropped: int
    raw_payload: str


AnyFrame = Frame | QuantityFrame


class Quantity(BaseModel):
    """What an instrument measures: how it is called, its unit, and with how many decimals it is shown.

    `mean` says how it is averaged over time: `energy`, `arithmetic`, or null for not at all.
    """

    symbol: str
    unit: str
    decimals: int | None
    mean: Literal["energy", "arithmetic"] | None


class UnitDocument(BaseModel):
    """A unit as configured, its state, and its latest reading.

    `quantities` has the symbol of each level, such as `LAF` for `lp`: with the weightings the meter is set to, as
    far as they are known. `own_quantities` are those of a unit that is no sound level meter.
    `uncovered_rules` see nothing, as its readings are too few or too slow for their windows.
    """

    id: str
    name: str
    kind: str
    labels: dict[str, str]
    quantities: dict[str, str]
    own_quantities: dict[str, Quantity]
    config: dict[str, Any]
    state: Feed
    reason: str | None
    uncovered_rules: list[str]
    snapshot: AnyFrame


class MeterSetting(BaseModel):
    """One of the meter's own settings, as it answered at `asked_at`; `value` has been so since `since_at` at least.

    `refusal` is the result code it refused with; its value is then unknown.
    """

    name: str
    value: str | None
    refusal: str | None
    asked_at: str
    age_s: float
    since_at: str


class MeterIdentity(BaseModel):
    """Which meter answers; None while unknown."""

    type: str | None
    serial_number: str | None


class MeterSettings(BaseModel):
    """What is known of the settings of a unit's meter, and how its levels are called because of them."""

    unit_id: str
    meter: MeterIdentity
    quantities: dict[str, str]
    items: list[MeterSetting]
    next_cursor: None = None


class UnitWithSettings(UnitDocument):
    """A unit with the settings of its meter."""

    meter: MeterIdentity
    settings: list[MeterSetting]


class UnitList(BaseModel):
    """Every unit."""

    items: list[UnitDocument]
    next_cursor: None = None


def unit_routes() -> APIRouter:
    """GET /api/units, and below it one unit, its snapshot, and a poll at once."""
    routes = APIRouter(prefix="/api/units", tags=["units"], dependencies=for_viewers())
    routes.add_api_route("", list_units, response_model=UnitList)
    routes.add_api_route("/{unit_id}", get_unit, response_model=UnitWithSettings)
    routes.add_api_route("/{unit_id}/settings", get_settings, response_model=MeterSettings)
    routes.add_api_route(
        "/{unit_id}/snapshot", get_snapshot, response_model=AnyFrame, response_model_exclude_unset=True
    )
    routes.add_api_route(
        "/{unit_id}/poll", poll_unit, methods=["POST"], response_model=AnyFrame, response_model_exclude_unset=True
    )
    return routes


async def list_units(parts: PartsOf) -> Response:
    """All units with their latest readings, from memory."""
    texts = []
    for number, unit in enumerate(list(parts.units.values())):
        if number % _UNITS_AT_ONCE == 0:
            await anyio.lowlevel.checkpoint()  # a thousand units at once would block the event loop
        texts.append(json.dumps(describe(unit), separators=(",", ":"), allow_nan=False))
    return Response(f'{{"items":[{",".join(texts)}],"next_cursor":null}}', media_type="application/json")


async def get_unit(unit: UnitOf, parts: PartsOf) -> dict[str, Any]:
    """One unit with its latest reading and its meter's settings, from memory."""
    return {**describe(unit), "meter": _meter(unit), "settings": _settings(unit, parts.clock)}


async def get_settings(unit: UnitOf, parts: PartsOf) -> dict[str, Any]:
    """The meter's own settings with their age, from memory, without a request to the meter."""
    items = _settings(unit, parts.clock)
    return {"unit_id": unit.id, "meter": _meter(unit), "quantities": unit.instrument.symbols, "items": items}


async def get_snapshot(unit: UnitOf) -> dict[str, Any]:
    """The latest reading, from memory, without a request to the meter."""
    return unit.frame()


async def poll_unit(unit: UnitOf, caller: Operator) -> dict[str, Any]:
    """Poll the meter now, before all waiting commands. 409 when it refuses, 503 when it cannot be reached."""
    if unit.is_released:
        raise Problem(409, f"{unit.id} is released; POST /api/units/{unit.id}/resume first", reason="released")
    try:
        with anyio.fail_after(_POLL_S):
            await unit.poll(Priority.OPERATOR, patience_s=_PATIENCE_S)
    except Refused as refused:
        raise Problem(409, f"{unit.id} answered {refused}", code=refused.code) from None
    except LinkDown as down:
        raise busy(f"{unit.id} cannot be asked now: {down.detail}", down.retry_in_s, reason=down.failure) from None
    except TimeoutError:
        raise busy(f"{unit.id} had no time for this within {_POLL_S:g} s", _PATIENCE_S, reason="busy") from None
    return unit.frame(with_raw=True)


def describe(unit: Unit) -> dict[str, Any]:
    """A unit as JSON."""
    config, frame, symbols = unit.config, unit.frame(), unit.instrument.symbols
    return {
        "id": unit.id,
        "name": unit.name,
        "kind": config.kind,
        "labels": config.labels,
        "quantities": symbols,
        "own_quantities": {
            name: {
                "symbol": symbols.get(name, name),
                "unit": metric.unit,
                "decimals": metric.decimals,
                "mean": metric.mean,
            }
            for name, metric in own_quantities(unit.instrument.quantities).items()
        },
        "config": config.model_dump(mode="json"),
        "state": frame["feed_status"],
        "reason": unit.reason,
        "uncovered_rules": unit.uncovered_rules,
        "snapshot": frame,
    }


def _meter(unit: Unit) -> dict[str, str | None]:
    return unit.instrument.identity._asdict()


def _settings(unit: Unit, clock: Clock) -> list[dict[str, Any]]:
    now, now_s = clock.now(), clock.steady()
    return [
        {
            "name": name,
            "value": setting.value,
            "refusal": setting.refusal,
            "asked_at": rfc3339(now - timedelta(seconds=now_s - setting.asked_s)),
            "age_s": round(max(0.0, now_s - setting.asked_s), 3),
            "since_at": rfc3339(now - timedelta(seconds=now_s - setting.since_s)),
        }
        for name, setting in sorted(unit.instrument.settings.items())
    ]
