"""Equipment: the machines of a feed with the age of the answer, and the feed itself. Reads come from memory."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Depends, Header, Path, Query, Response
from pydantic import BaseModel, Field

from alerts.model.category import Category
from hub.equipment.feed import EquipmentFeed
from hub.equipment.reads import Found, Head, Page, Unavailable
from hub.equipment.requests import NotRunning, RequestRefused
from hub.equipment.sync import Outcome, OutcomeKind
from hub.web.access import SHOWN_TEXT, PartsOf
from hub.web.auth.roles import Operator, for_viewers
from hub.web.http.bodies import body_limit
from hub.web.http.problems import Problem, busy, not_found

_ID_LENGTH = 64
_LOOKUP_IDS = 10_000
_LOOKUP_BYTES = 1 << 20
_RETRY_S = 5.0
_REFRESH_S = 10.0
_STILL_READ = "the view is still being read; GET /api/equipment/status says how it ends"
_JSON = "application/json"

ShownText = Annotated[str, Field(max_length=100, pattern=SHOWN_TEXT)]
IfNoneMatch = Annotated[str | None, Header(description="The `ETag` of an earlier answer: 304 while it holds.")]


class AsOf(BaseModel):
    """Age and source of an answer: `as_of` is when its query began; `source` is the cache tier it came from."""

    as_of: str | None
    age_s: float | None
    stale: bool
    generation: int | None
    source: str
    degraded: bool


class MachineList(AsOf):
    """Machines in the order of their RESOURCEID."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class MachineDocument(AsOf):
    """One machine: the keys of the view, its lots, and flags for contradictions in its rows."""

    record: dict[str, Any]


class LookupRequest(BaseModel):
    """RESOURCEIDs."""

    ids: Annotated[list[Annotated[str, Field(max_length=_ID_LENGTH)]], Field(max_length=_LOOKUP_IDS)]


class LookupReply(AsOf):
    """Each machine once, and the ids that the feed does not have."""

    found: list[dict[str, Any]]
    missing: list[str]


class RefreshReply(AsOf):
    """How a cycle ended. `refused` and `failed` have a reason and keep the last answer; `running`: not yet."""

    outcome: OutcomeKind | Literal["running"]
    reason: str | None
    code: str | None
    machines: int | None


async def _feed(
    parts: PartsOf,
    feed: Annotated[
        str | None, Query(max_length=_ID_LENGTH, description="The id of a feed. Default: the first one.")
    ] = None,
) -> EquipmentFeed:
    if not parts.feeds:
        raise Problem(404, "there is no equipment: no feed is configured; add one to feeds")
    chosen = next(iter(parts.feeds.values())) if feed is None else parts.feeds.get(feed)
    if chosen is None:
        raise not_found("feed", feed or "")
    return chosen


FeedOf = Annotated[EquipmentFeed, Depends(_feed)]


def equipment_routes() -> APIRouter:
    """GET /api/equipment, /status, /{resource_id}; POST /lookup, /refresh."""
    routes = APIRouter(prefix="/api/equipment", tags=["equipment"], dependencies=for_viewers())
    unchanged: dict[int | str, dict[str, Any]] = {304: {"description": "Nothing has changed."}}
    routes.add_api_route(
        "",
        list_equipment,
        response_class=Response,
        responses={200: {"model": MachineList}, **unchanged},
    )
    routes.add_api_route("/status", get_status)
    routes.add_api_route(
        "/lookup",
        look_up,
        methods=["POST"],
        response_class=Response,
        responses={200: {"model": LookupReply}},
        dependencies=body_limit(_LOOKUP_BYTES),
    )
    running: dict[int | str, dict[str, Any]] = {202: {"model": RefreshReply, "description": "It still runs."}}
    routes.add_api_route("/refresh", refresh, methods=["POST"], response_model=RefreshReply, responses=running)
    routes.add_api_route(
        "/{resource_id}",
        get_machine,
        response_class=Response,
        responses={200: {"model": MachineDocument}, **unchanged},
    )
    return routes


async def list_equipment(
    feed: FeedOf,
    category: Category | None = None,
    status: Annotated[ShownText | None, Query(description="A status code, such as PRD.")] = None,
    q: Annotated[ShownText | None, Query(description="Part of an EQUIPMENTID, in any case.")] = None,
    object_category: Annotated[
        ShownText | None, Query(description="An OBJECTCATEGORY, such as ASSEMBLY or WAFERSORT, in any case.")
    ] = None,
    lot: Annotated[ShownText | None, Query(description="The RUNCARDLOTID of a lot on it, in any case.")] = None,
    limit: Annotated[int | None, Query(ge=1, le=10_000, description="Default: all.")] = None,
    cursor: Annotated[
        str | None, Query(max_length=_ID_LENGTH, pattern=SHOWN_TEXT, description="A `next_cursor`.")
    ] = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """All machines, or those that match the query."""
    page = feed.list(category, status, q, limit, cursor, object_category=object_category, lot=lot)
    if isinstance(page, Unavailable):
        raise _unavailable(feed, page)
    return _answer(page, if_none_match)


async def get_machine(
    feed: FeedOf, resource_id: Annotated[str, Path(max_length=_ID_LENGTH)], if_none_match: IfNoneMatch = None
) -> Response:
    """One machine by its RESOURCEID."""
    found = feed.get(resource_id)
    if isinstance(found, Unavailable):
        raise _unavailable(feed, found)
    if not isinstance(found, Found):
        raise Problem(404, f"{feed.id} has no machine {resource_id!r}", **found.head.as_json())
    return _answer(found, if_none_match)


async def look_up(request: LookupRequest, feed: FeedOf) -> Response:
    """Many machines by RESOURCEID, up to 10,000."""
    answer = feed.lookup(request.ids)
    if isinstance(answer, Unavailable):
        raise _unavailable(feed, answer)
    return Response(answer.body(), media_type=_JSON)


async def get_status(parts: PartsOf, feed: FeedOf) -> dict[str, Any]:
    """The status of the feed: counts of its plant, its last cycle, its age; and every cache of the hub."""
    return {"feed": feed.id, **feed.status(), "caches": [asdict(cache) for cache in parts.caches]}


async def refresh(
    feed: FeedOf,
    caller: Operator,
    response: Response,
    force: Annotated[bool, Query(description="Read the view although the last answer is fresh.")] = False,
    accept_shrunken: Annotated[
        bool,
        Query(description="Publish the answer though more than half of the machines, or all, are missing in it."),
    ] = False,
) -> dict[str, Any]:
    """Make the feed read the view now, and return the outcome; 202 when that takes longer than ten seconds."""
    outcome: Outcome | None = None
    try:
        with anyio.move_on_after(_REFRESH_S):
            outcome = await feed.ask_refresh(force, accept_shrunken)
    except NotRunning:
        start = f"POST /api/supervisor/feed/{feed.id}/start"
        raise Problem(409, f"the task of feed {feed.id} does not run; start it: {start}") from None
    except RequestRefused as refusal:
        raise busy(f"{feed.id} cannot be refreshed now: {refusal}", _RETRY_S) from None
    if outcome is None:
        response.status_code = 202
    return {
        **feed.head.as_json(),
        "outcome": outcome.kind if outcome else "running",
        "reason": outcome.reason if outcome else _STILL_READ,
        "code": outcome.code if outcome else None,
        "machines": outcome.machines if outcome else None,
    }


def _answer(answer: Page | Found, if_none_match: str | None) -> Response:
    headers = {"etag": answer.head.etag, "cache-control": "private, no-cache"}
    if _is_known(answer.head, if_none_match):
        return Response(status_code=304, headers=headers)
    return Response(answer.body(), media_type=_JSON, headers=headers)


def _is_known(head: Head, if_none_match: str | None) -> bool:
    """Whether one of the tags matches the answer; a proxy that compresses makes tags weak."""
    tags = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    return head.etag in tags or "*" in tags


def _unavailable(feed: EquipmentFeed, answer: Unavailable) -> Problem:
    retry_s = feed.status()["next_due_in_s"]
    detail = f"nothing is known of {feed.id} yet: {answer.reason}"
    return busy(detail, _RETRY_S if retry_s is None else retry_s, reason=answer.reason, **answer.head.as_json())
