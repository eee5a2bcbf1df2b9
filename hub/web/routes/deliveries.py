"""Deliveries: the messages to receivers, and sending dead or held ones again."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel

from alerts.model.delivery import DeliveryState
from alerts.store import outbox
from alerts.store.queries import find_delivery
from alerts.store.queries import list_deliveries as list_rows
from hub.web.access import SHOWN_TEXT, PartsOf, within_reason
from hub.web.alert_documents import delivery_of
from hub.web.auth.roles import Operator, for_viewers
from hub.web.http.problems import Problem, invalid, not_found
from hub.web.parts import Parts

_REPLAYED = (DeliveryState.DEAD, DeliveryState.HELD)


class LastAttempt(BaseModel):
    """The newest POST of a delivery: its HTTP status, or why there was none, and the receiver's answer."""

    at: str
    duration_s: float
    status: int | None
    error: str | None
    answer: str | None


class DeliveryDocument(BaseModel):
    """One message to one receiver; `id` is its webhook-id."""

    id: str
    receiver: str
    type: str
    alert_id: str | None
    sequence: int
    state: DeliveryState
    attempts: int
    created_at: str
    next_at: str | None
    finished_at: str | None
    last_attempt: LastAttempt | None


class Replayed(BaseModel):
    """How many deliveries are due again."""

    replayed: int


class DeliveryList(BaseModel):
    """Deliveries, the newest first."""

    items: list[DeliveryDocument]
    next_cursor: str | None


def delivery_routes() -> APIRouter:
    """GET /api/deliveries, POST /api/deliveries/{id}/replay and /api/deliveries/replay."""
    routes = APIRouter(prefix="/api/deliveries", tags=["alerts"], dependencies=for_viewers())
    routes.add_api_route("", list_deliveries, response_model=DeliveryList)
    routes.add_api_route("/replay", replay_range, methods=["POST"], response_model=Replayed)
    routes.add_api_route("/{delivery_id}/replay", replay, methods=["POST"], response_model=DeliveryDocument)
    return routes


async def list_deliveries(
    parts: PartsOf,
    caller: Operator,
    state: Annotated[DeliveryState | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=200, pattern=SHOWN_TEXT)] = None,
) -> dict[str, Any]:
    """Deliveries with their states, the newest first."""
    try:
        page = await parts.database.query(lambda s: list_rows(s, state=state, limit=limit, cursor=cursor))
    except ValueError as error:
        raise invalid(str(error)) from None
    return {"items": [delivery_of(result) for result in page.items], "next_cursor": page.next_cursor}


async def replay(
    delivery_id: Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")],
    parts: PartsOf,
    caller: Operator,
) -> dict[str, Any]:
    """Send a delivery again that is dead or held, with the same id and body."""
    found = await parts.database.query(lambda s: find_delivery(s, delivery_id))
    if found is None:
        raise not_found("delivery", delivery_id)
    if found.delivery.state not in _REPLAYED:
        raise Problem(409, f"this delivery is {found.delivery.state}; only dead and held ones can be sent again")
    _reload(parts, (await parts.database.write(lambda s: outbox.replay(s, [delivery_id]))).receivers)
    again = await parts.database.query(lambda s: find_delivery(s, delivery_id))
    return delivery_of(again or found)


async def replay_range(
    parts: PartsOf,
    caller: Operator,
    from_: Annotated[AwareDatetime, Query(alias="from", description="When the first was created.")],
    to: Annotated[AwareDatetime, Query(description="Not included.")],
    receiver: Annotated[str | None, Query(max_length=200, pattern=SHOWN_TEXT)] = None,
) -> dict[str, int]:
    """Send all again that were created with `from <= at < to` and are dead or held, each with its id and body."""
    since, until = within_reason(from_), within_reason(to)
    if since > until:
        raise invalid("from: must not be after to")
    replayed = await parts.database.write(lambda s: outbox.replay_between(s, since, until, receiver))
    _reload(parts, replayed.receivers)
    return {"replayed": replayed.deliveries}


def _reload(parts: Parts, receivers: Iterable[str]) -> None:
    for receiver in receivers:
        if receiver in parts.dispatchers:
            parts.dispatchers[receiver].reload()
