"""The role a route requires, declared as a dependency of the route; a route that declares none is denied."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from fastapi import Depends
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from hub.config.models import Role
from hub.web.auth.security import COOKIE, RANKS, Caller, unauthorized
from hub.web.http.problems import Problem


class Requires:
    """A dependency that declares which callers may use a route: those of `role` or above, everybody with None.

    The auth middleware reads the declaration and refuses before the body is read; the dependency checks again.
    """

    def __init__(self, role: Role | None) -> None:
        self.role = role

    async def __call__(self, connection: HTTPConnection) -> Caller | None:
        caller: Caller | None = connection.scope.get("hub.caller")
        if (problem := refusal(self.role, caller)) is not None:
            raise problem
        return caller


EVERYBODY, VIEWER, OPERATOR, ADMIN = Requires(None), Requires("viewer"), Requires("operator"), Requires("admin")

Viewer = Annotated[Caller, Depends(VIEWER)]
"""The caller; a route with this parameter requires the role viewer."""

Operator = Annotated[Caller, Depends(OPERATOR)]
"""The caller; a route with this parameter requires the role operator, whatever its router declares."""


def for_everybody() -> list[Any]:
    """The dependencies of a router whose routes need no token."""
    return [Depends(EVERYBODY)]


def for_viewers() -> list[Any]:
    """The dependencies of a router for viewers and above, with the security schemes for the OpenAPI document."""
    return [
        Depends(VIEWER),
        Depends(HTTPBearer(auto_error=False)),
        Depends(APIKeyCookie(name=COOKIE, auto_error=False)),
    ]


def refusal(role: Role | None, caller: Caller | None) -> Problem | None:
    """401 or 403 when the caller may not use a route of this role; None when it may."""
    if role is None:
        return None
    if caller is None:
        return unauthorized("send Authorization: Bearer TOKEN, or log in at POST /api/login")
    if not caller.may(role):
        return Problem(403, f"{caller.name} is a {caller.role}; this needs the role {role}")
    return None


def declared(route: RouteContext | BaseRoute) -> Requires | None:
    """The strictest declaration among a route's dependencies; None for a route without any, a mount for example."""
    dependant = getattr(route, "dependant", None)
    if not isinstance(dependant, Dependant):
        return None
    return max(_requirements(dependant), key=_rank, default=None)


def _rank(requires: Requires) -> int:
    return -1 if requires.role is None else RANKS[requires.role]


def _requirements(dependant: Dependant) -> Iterator[Requires]:
    if isinstance(dependant.call, Requires):
        yield dependant.call
    for dependency in dependant.dependencies:
        yield from _requirements(dependency)


def routes_of(routes: Sequence[BaseRoute]) -> Iterable[RouteContext]:
    """Every route, with those of included routers under their full paths."""
    return iter_route_contexts(routes)


def route_for(routes: Sequence[BaseRoute], scope: Scope) -> RouteContext | None:
    """The route that the router will choose: the first that matches, else the first that matches but the method."""
    partial = None
    for route in routes_of(routes):
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return route
        if match is Match.PARTIAL and partial is None:
            partial = route
    return partial
