"""The history of a unit: raw readings or steps, as JSON in pages or as CSV in one response."""

from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, WithJsonSchema

from alerts.model.duration import Duration
from hub.kinds.registry import kind_of
from hub.readings.reading import own_quantities
from hub.store.export import ExportedUnit, export_page, export_rows
from hub.web.access import SHOWN_TEXT, PartsOf, UnitOf, within_reason
from hub.web.auth.roles import for_viewers
from hub.web.http.long_responses import long_response
from hub.web.http.problems import invalid
from hub.web.http.streaming import streamed

_SINCE = timedelta(hours=1)
_LONGEST_STEP_S = 2 * 365 * 86400.0
_STEP_SCHEMA = {"type": "string", "pattern": r"^\d{1,6}(s|m|h|d|w|y)$", "examples": ["1m", "15m", "1h"]}


class HistoryPage(BaseModel):
    """Items in order of time. Raw: the values of each reading. With `step`: mean, extremes, count, coverage."""

    items: list[dict[str, Any]]
    next_cursor: str | None


def history_routes() -> APIRouter:
    """GET /api/units/{id}/history."""
    routes = APIRouter(prefix="/api/units", tags=["units"], dependencies=for_viewers())
    routes.add_api_route(
        "/{unit_id}/history",
        get_history,
        dependencies=long_response(),
        response_class=Response,
        responses={200: {"model": HistoryPage, "content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    return routes


async def get_history(
    unit: UnitOf,
    parts: PartsOf,
    from_: Annotated[AwareDatetime | None, Query(alias="from", description="Default: an hour before `to`.")] = None,
    to: Annotated[AwareDatetime | None, Query(description="Not included. Default: now.")] = None,
    step: Annotated[Annotated[Duration, WithJsonSchema(_STEP_SCHEMA)] | None, Query()] = None,
    metrics: Annotated[list[str] | None, Query(description="`lp,leq` or repeated. Default: all.")] = None,
    format: Annotated[Literal["json", "csv"], Query(description="`csv` is the whole range at once.")] = "json",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    cursor: Annotated[str | None, Query(max_length=200, pattern=SHOWN_TEXT)] = None,
) -> Response:
    """Readings with `from <= at < to`, or per `step` the mean of Lp, or of each quantity, and its extremes."""
    until = within_reason(to or parts.clock.now())
    since = within_reason(from_ or until - _SINCE)
    if step is not None and step > _LONGEST_STEP_S:
        raise invalid("step: may be up to 2y")
    if since > until:
        raise invalid("from: must not be after to")
    quantities = own_quantities(unit.instrument.quantities)
    symbols = partial(kind_of(unit.config).symbols, unit.config)
    names = None if metrics is None else [name for some in metrics for name in some.split(",") if name]
    try:
        if format == "csv":
            exported = ExportedUnit(unit.id, unit.name, symbols, quantities)
            rows = export_rows(parts.database, [exported], since, until, step_s=step, metrics=names)
            headers = {"content-disposition": f'attachment; filename="{unit.id}.csv"'}
            return await streamed(rows, "text/csv; charset=utf-8", headers)
        page = export_page(
            parts.database,
            unit.id,
            since,
            until,
            step_s=step,
            metrics=names,
            quantities=quantities,
            limit=limit,
            cursor=cursor,
        )
        return await streamed(page, "application/json")
    except ValueError as error:
        raise invalid(str(error)) from None
