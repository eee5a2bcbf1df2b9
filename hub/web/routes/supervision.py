"""The supervision tree: the state of each child, and starting a failed one again."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel

from alerts.model.moments import rfc3339
from hub.runtime.supervisor import Child, ChildState
from hub.web.access import PartsOf
from hub.web.auth.roles import Operator, for_viewers
from hub.web.http.problems import not_found


class CrashDocument(BaseModel):
    """When a child crashed and the class of the error; the log has the traceback."""

    at: str
    error: str


class ChildDocument(BaseModel):
    """A supervised child of a group."""

    group: str
    name: str
    state: ChildState
    essential: bool
    restarts: int
    started_at: str | None
    last_crash: CrashDocument | None


class Tree(BaseModel):
    """Every child of every group."""

    items: list[ChildDocument]
    next_cursor: None = None


def supervision_routes() -> APIRouter:
    """GET /api/supervisor, POST /api/supervisor/{name}/start."""
    routes = APIRouter(prefix="/api/supervisor", tags=["supervisor"], dependencies=for_viewers())
    routes.add_api_route("", get_tree, response_model=Tree)
    routes.add_api_route("/{name:path}/start", start_child, methods=["POST"], response_model=ChildDocument)
    return routes


async def get_tree(parts: PartsOf) -> dict[str, Any]:
    """The children of all groups."""
    items = [describe(group.name, child) for group in parts.supervisors for child in group.children.values()]
    return {"items": items, "next_cursor": None}


async def start_child(
    name: Annotated[str, Path(max_length=200)], parts: PartsOf, caller: Operator
) -> dict[str, Any]:
    """Start a failed or stopped child again; a running one stays unchanged."""
    for group in parts.supervisors:
        if name in group.children:
            group.start(name)
            return describe(group.name, group.children[name])
    raise not_found("child", name)


def describe(group: str, child: Child) -> dict[str, Any]:
    """A child as JSON."""
    crash = child.last_crash
    return {
        "group": group,
        "name": child.name,
        "state": child.state,
        "essential": child.essential,
        "restarts": child.restarts,
        "started_at": rfc3339(child.started_at),
        "last_crash": None if crash is None else {"at": rfc3339(crash.at), "error": crash.kind},
    }
