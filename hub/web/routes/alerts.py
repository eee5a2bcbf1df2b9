"""Alerts: open and past ones, and their acknowledgement."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from alerts.config.rule import Severity
from alerts.delivery.message import alert_document
from alerts.model.alert import Alert
from alerts.store.queries import find_alert
from alerts.store.queries import list_alerts as list_rows
from hub.web.access import SHOWN_TEXT, PartsOf
from hub.web.alert_documents import alert_history_of, alerts_of
from hub.web.auth.roles import Operator, for_viewers
from hub.web.http.problems import Problem, invalid, not_found
from hub.web.parts import Parts

Text = Annotated[str | None, Query(max_length=200, pattern=SHOWN_TEXT)]
AlertId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]


class WindowDocument(BaseModel):
    """The samples behind a value over a window of time; `quality` names the flaws of some of them."""

    from_: str = Field(alias="from")
    samples: int
    coverage: float
    quality: list[str]


class AlertDocument(BaseModel):
    """An alert as in the body of a webhook."""

    id: str
    rule: str
    subject: str
    name: str | None
    labels: dict[str, str]
    severity: Severity
    state: Literal["inactive", "pending", "firing", "clearing"]
    metric: str
    metric_label: str | None
    value: float | bool | str | None
    threshold: float | bool | str | list[Any] | None
    peak: float | bool | str | None
    started_at: str | None
    cleared_at: str | None
    acknowledged_by: str | None
    reason: str | None
    window: WindowDocument | None = None
    duration_s: float | None = None


class AlertWithPast(AlertDocument):
    """An alert with all its transitions and deliveries."""

    transitions: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]


class AlertList(BaseModel):
    """Alerts, the newest first."""

    items: list[AlertDocument]
    next_cursor: str | None


class Acknowledgement(BaseModel):
    """The comment of an acknowledgement."""

    model_config = ConfigDict(extra="forbid")

    comment: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")] | None = None


def alert_routes() -> APIRouter:
    """GET /api/alerts and below it one alert; POST and DELETE its ack."""
    routes = APIRouter(prefix="/api/alerts", tags=["alerts"], dependencies=for_viewers())
    add = partial(routes.add_api_route, response_model_exclude_unset=True)
    add("", list_alerts, response_model=AlertList)
    add("/{alert_id}", get_alert, response_model=AlertWithPast)
    add("/{alert_id}/ack", acknowledge, methods=["POST"], response_model=AlertDocument)
    add("/{alert_id}/ack", unacknowledge, methods=["DELETE"], response_model=AlertDocument)
    return routes


async def list_alerts(
    parts: PartsOf,
    state: Annotated[
        Literal["open", "firing", "clearing", "inactive"] | None,
        Query(description="`open` is firing or clearing; `inactive` has cleared."),
    ] = None,
    subject: Text = None,
    rule: Text = None,
    severity: Annotated[Severity | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Text = None,
) -> dict[str, Any]:
    """Open and past alerts, the newest first."""
    try:
        page = await parts.database.query(
            lambda s: list_rows(
                s, state=state, subject=subject, rule=rule, severity=severity, limit=limit, cursor=cursor
            )
        )
    except ValueError as error:
        raise invalid(str(error)) from None
    return {"items": alerts_of(page.items), "next_cursor": page.next_cursor}


async def get_alert(alert_id: AlertId, parts: PartsOf) -> dict[str, Any]:
    """One alert with all its transitions and deliveries."""
    found = await parts.database.query(lambda s: find_alert(s, alert_id))
    if found is None:
        raise not_found("alert", alert_id)
    return alert_history_of(found)


async def acknowledge(
    alert_id: AlertId, parts: PartsOf, caller: Operator, body: Acknowledgement | None = None
) -> dict[str, Any]:
    """Acknowledge an open alert in the caller's name."""
    await _check_open(parts, alert_id)
    comment = None if body is None else body.comment
    return _document(parts, parts.alerts.acknowledge(alert_id, caller.name, comment))


async def unacknowledge(alert_id: AlertId, parts: PartsOf, caller: Operator) -> dict[str, Any]:
    """Remove the acknowledgement of an open alert; one without it stays unchanged."""
    await _check_open(parts, alert_id)
    return _document(parts, parts.alerts.unacknowledge(alert_id))


async def _check_open(parts: Parts, alert_id: str) -> None:
    if parts.alerts.alert(alert_id) is None:
        if await parts.database.query(lambda s: find_alert(s, alert_id)) is None:
            raise not_found("alert", alert_id)
        raise Problem(409, "this alert has cleared; only an open one can be acknowledged")


def _document(parts: Parts, alert: Alert) -> dict[str, Any]:
    caption = parts.alerts.caption_of(alert.subject)
    labels, metric_label = parts.alerts.labels_of(alert.subject), caption.metric_label(alert.metric)
    return dict(alert_document(alert, labels, caption.name, metric_label))
