"""Login and logout of the page: the browser exchanges a token for a session cookie."""

import math
from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, SecretStr

from hub.config.models import Role
from hub.web.access import PartsOf
from hub.web.auth.roles import for_everybody
from hub.web.auth.security import COOKIE, LOCAL, SESSION_S, Sessions, find_token, is_foreign, unauthorized
from hub.web.auth.throttle import LoginThrottle
from hub.web.http.bodies import body_limit
from hub.web.http.problems import Problem

log = structlog.get_logger()

_LOGIN_BYTES = 4096


class Login(BaseModel):
    """One of `hub.tokens`."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=1000)]


class LoggedIn(BaseModel):
    """The caller's name and role after the login."""

    name: str
    role: Role


def login_routes() -> APIRouter:
    """POST /api/login, POST /api/logout."""
    routes = APIRouter(prefix="/api", tags=["login"], dependencies=for_everybody())
    routes.add_api_route(
        "/login", log_in, methods=["POST"], response_model=LoggedIn, dependencies=body_limit(_LOGIN_BYTES)
    )
    routes.add_api_route("/logout", log_out, methods=["POST"], status_code=204)
    return routes


async def log_in(login: Login, request: Request, response: Response, parts: PartsOf) -> LoggedIn:
    """Exchange a token for an HttpOnly cookie. Without `hub.tokens` no login is needed and no cookie is set."""
    if is_foreign(request.headers):
        raise Problem(403, "this request came from a page of another origin; log in on the hub's own page")
    tokens = parts.config.hub.tokens
    if not tokens:
        return LoggedIn(name=LOCAL.name, role=LOCAL.role)
    address = request.client.host if request.client else ""
    throttle: LoginThrottle = request.app.state.throttle
    if (wait_s := throttle.wait_s(address)) > 0:
        raise _too_many(wait_s)
    token = find_token(tokens, login.token.get_secret_value())
    if token is None:
        log.warning("login refused", client=address, wait_s=round(throttle.failed(address)))
        raise unauthorized("this token is not known; use one of hub.tokens")
    throttle.succeeded(address)
    sessions: Sessions = request.app.state.sessions
    response.set_cookie(
        COOKIE,
        sessions.open(token),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=_is_tls(request, parts.config.hub.public_url),
    )
    return LoggedIn(name=token.name, role=token.role)


def _too_many(wait_s: float) -> Problem:
    seconds = math.ceil(wait_s)
    detail = f"too many logins failed; try again in {seconds} s, or send Authorization: Bearer TOKEN"
    return Problem(429, detail, {"Retry-After": str(seconds)})


async def log_out(request: Request, response: Response, parts: PartsOf) -> None:
    """End the session of this cookie."""
    sessions: Sessions = request.app.state.sessions
    sessions.close(request.cookies.get(COOKIE, ""))
    is_tls = _is_tls(request, parts.config.hub.public_url)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=is_tls)


def _is_tls(request: Request, public_url: str | None) -> bool:
    """True when the browser uses TLS: a trusted proxy forwards https, or the Host is that of the public URL."""
    if request.url.scheme == "https":
        return True
    public = urlsplit(public_url or "")
    return public.scheme == "https" and request.headers.get("host", "").lower() == public.netloc.lower()
