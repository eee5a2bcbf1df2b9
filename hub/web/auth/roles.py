"""The role a route asks for, declared as a dependency of the route; a route that declares none is denied."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Depends
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from hub.config.models import Role
from hub.web.auth.security import COOKIE, Caller, unauthorized
from hub.web.http.problems import Problem

_RANKS: Mapping[Role | None, int] = {None: -1, "viewer": 0, "operator": 1, "admin": 2}


class Requires:
    """A dependency that declares who may use a route: callers of `role` or above, everybody with None.

    The gate reads the declaration and refuses before the body is read; as a dependency it checks once more.
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
"""The caller; a route that takes it is for viewers and above."""

Operator = Annotated[Caller, Depends(OPERATOR)]
"""The caller; a route that takes it is for operators and above, whatever its router says."""


def for_everybody() -> list[Any]:
    """The dependencies of a router whose routes need no token."""
    return [Depends(EVERYBODY)]


def for_viewers() -> list[Any]:
    """The dependencies of a router for viewers and above, with the ways to prove it for the OpenAPI document."""
    return [
        Depends(VIEWER),
        Depends(HTTPBearer(auto_error=False)),
        Depends(APIKeyCookie(name=COOKIE, auto_error=False)),
    ]


def refusal(role: Role | None, caller: Caller | None) -> Problem | None:
    """Why the caller may not use a route of this role; None when it may."""
    if role is None:
        return None
    if caller is None:
        return unauthorized("send Authorization: Bearer TOKEN, or log in at POST /api/login")
    if not caller.may(role):
        return Problem(403, f"{caller.name} is a {caller.role}; this takes the role {role}")
    return None


def declared(route: RouteContext | BaseRoute) -> Requires | None:
    """The strictest declaration among a route's dependencies; None for a route without any, a mount for example."""
    dependant = getattr(route, "dependant", None)
    if not isinstance(dependant, Dependant):
        return None
    return max(_requirements(dependant), key=lambda requires: _RANKS[requires.role], default=None)


def _requirements(dependant: Dependant) -> Iterator[Requires]:
    if isinstance(dependant.call, Requires):
        yield dependant.call
    for dependency in dependant.dependencies:
        yield from _requirements(dependency)


def routes_of(routes: Sequence[BaseRoute]) -> Iterable[RouteContext]:
    """Every route, those of included routers as they are served."""
    return iter_route_contexts(routes)


def route_for(routes: Sequence[BaseRoute], scope: Scope) -> RouteContext | None:
    """The route the router serves a request with: the first that matches, else the first but for the method."""
    partial = None
    for route in routes_of(routes):
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return route
        if match is Match.PARTIAL and partial is None:
            partial = route
    return partial
