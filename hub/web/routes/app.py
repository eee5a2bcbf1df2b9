"""Builds the web application from routes, middleware and error handlers. It has no lifespan and no tasks."""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline

from hub.web.auth.login import login_routes
from hub.web.auth.middleware import AuthMiddleware
from hub.web.auth.roles import for_everybody
from hub.web.auth.security import Sessions
from hub.web.auth.throttle import LoginThrottle
from hub.web.fleet_table import FleetTable
from hub.web.frame_text import FrameText
from hub.web.http.address import Addresses
from hub.web.http.bodies import Bodies, BodyBudget
from hub.web.http.head import HeadAsGet
from hub.web.http.long_responses import LongResponses, long_response_slots
from hub.web.http.problems import RESPONSES, answer_with_problems
from hub.web.parts import Parts
from hub.web.routes.alerts import alert_routes
from hub.web.routes.deliveries import delivery_routes
from hub.web.routes.equipment import equipment_routes
from hub.web.routes.fleet import fleet_routes
from hub.web.routes.health import health_routes
from hub.web.routes.history import history_routes
from hub.web.routes.link import link_routes
from hub.web.routes.live import live_routes
from hub.web.routes.metrics import metrics_routes
from hub.web.routes.monitors import monitor_routes
from hub.web.routes.rules import rule_routes
from hub.web.routes.supervision import supervision_routes
from hub.web.routes.trace import trace_routes, trace_slots
from hub.web.routes.units import unit_routes
from hub.web.server.connections import Connections

_GRAVITY = {"info": 0, "warning": 1, "critical": 2}


def create_app(parts: Parts, connections: Connections | None = None) -> FastAPI:
    """The ASGI application that shows and controls `parts`; its metrics count `connections`."""
    app = FastAPIOffline(
        title="hub",
        version=parts.version,
        description="Monitor hub: live levels, history, alerts.",
        redoc_url=None,
        redirect_slashes=False,
        responses=RESPONSES,
    )
    documentation = tuple(app.routes)
    app.state.parts = parts
    app.state.trace_slots = trace_slots()
    app.state.sessions = Sessions(parts.clock)
    app.state.throttle = LoginThrottle(parts.clock)
    app.state.frame_text = FrameText(parts.clock.steady)
    app.state.fleet_table = FleetTable(parts.units, parts.clock, lambda: open_severities(parts))
    answer_with_problems(app)
    app.state.connections = Connections() if connections is None else connections
    app.state.body_budget, app.state.long_response_slots = BodyBudget(), long_response_slots()
    app.add_middleware(LongResponses, slots=app.state.long_response_slots)
    app.add_middleware(Bodies, budget=app.state.body_budget)
    app.add_middleware(
        AuthMiddleware,
        tokens=lambda: parts.config.hub.tokens,
        sessions=app.state.sessions,
        documentation=documentation,
    )
    app.add_middleware(HeadAsGet)
    app.add_middleware(Addresses, proxies=lambda: parts.config.hub.trusted_proxies)
    for routes in (
        health_routes(),
        login_routes(),
        unit_routes(),
        history_routes(),
        live_routes(),
        fleet_routes(),
        link_routes(),
        monitor_routes(),
        alert_routes(),
        rule_routes(),
        delivery_routes(),
        supervision_routes(),
        equipment_routes(),
        trace_routes(),
        metrics_routes(),
    ):
        app.include_router(routes)
    app.add_api_route("/", _to_docs, include_in_schema=False, dependencies=for_everybody())
    return app


def open_severities(parts: Parts) -> Mapping[str, str]:
    """The severity of the most severe open alert of each unit that has one."""
    gravest: dict[str, str] = {}
    for alert in parts.alerts.open_alerts():
        kind, _, unit_id = alert.subject.partition("/")
        if kind == "unit":
            known = gravest.get(unit_id)
            if known is None or _GRAVITY[alert.severity] > _GRAVITY[known]:
                gravest[unit_id] = alert.severity
    return gravest


async def _to_docs() -> RedirectResponse:
    return RedirectResponse("/docs")
