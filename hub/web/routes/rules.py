"""Rules: their configuration and their state."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from alerts.config.rule import Rule
from alerts.model.alert import State
from alerts.model.moments import rfc3339
from alerts.rules.status import RuleStatus
from hub.web.access import PartsOf
from hub.web.auth.roles import for_viewers


class RuleDocument(BaseModel):
    """A rule as configured, and its state over all its subjects."""

    name: str
    state: State
    subjects: int
    open: int
    last_evaluated_at: str | None
    last_value: float | bool | str | None
    rule: dict[str, Any]


class RuleList(BaseModel):
    """Every rule, in the order of the configuration."""

    items: list[RuleDocument]
    next_cursor: None = None


def rule_routes() -> APIRouter:
    """GET /api/rules."""
    routes = APIRouter(prefix="/api/rules", tags=["alerts"], dependencies=for_viewers())
    routes.add_api_route("", list_rules, response_model=RuleList)
    return routes


async def list_rules(parts: PartsOf) -> dict[str, Any]:
    """Every rule with its state, its last evaluation and its last value."""
    return {"items": [describe(status) for status in parts.alerts.rule_status()], "next_cursor": None}


def describe(status: RuleStatus) -> dict[str, Any]:
    """A rule as JSON."""
    rule: Rule = status.rule
    return {
        "name": rule.name,
        "state": status.state,
        "subjects": status.subjects,
        "open": status.open,
        "last_evaluated_at": rfc3339(status.last_evaluated_at),
        "last_value": status.last_value,
        "rule": rule.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
