"""Error responses: RFC 9457 `application/problem+json`, never with the text of an unexpected exception."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError, StatementError
from starlette.exceptions import HTTPException

from hub.database.errors import describe_error
from hub.database.lane import LaneFull

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_DATABASE_RETRY_S = 5

RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem, as RFC 9457 describes it; some carry further members.",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                    },
                }
            }
        },
    }
}
"""The `responses` of every route."""


class Problem(Exception):
    """An error response. `detail` says what the caller can do; `members` are added to the body."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


class ProblemResponse(Response):
    """The HTTP response of a problem."""

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem) -> None:
        body = {
            "type": "about:blank",
            "title": HTTPStatus(problem.status).phrase,
            "status": problem.status,
            "detail": problem.detail,
            **problem.members,
        }
        super().__init__(json.dumps(body), problem.status, problem.headers)


def busy(detail: str, retry_s: float = 1.0, **members: Any) -> Problem:
    """503 with `Retry-After: retry_s`, rounded up to whole seconds and at least one."""
    return Problem(503, detail, {"Retry-After": str(max(1, int(-(-retry_s // 1))))}, **members)


def not_found(what: str, which: str) -> Problem:
    """404 for an unknown id `which` of a `what`, such as a unit."""
    return Problem(404, f"there is no {what} {which!r}")


def invalid(text: str) -> Problem:
    """422 for a query parameter; `text` is its name and the fault, such as `cursor: is not one of this list`."""
    name, _, message = text.partition(": ")
    return Problem(422, text, errors=[{"where": f"query.{name}", "message": message}])


def no_route() -> Problem:
    """404 for a path without a route."""
    return Problem(404, _DETAILS[404])


def answer_with_problems(app: FastAPI) -> None:
    """Register exception handlers that answer every error of `app` with a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(SQLAlchemyError, _no_database)
    app.add_exception_handler(LaneFull, _full)
    app.add_exception_handler(Exception, _crash)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return ProblemResponse(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if "GET" in (allowed := headers.get("Allow", "").split(", ")) and "HEAD" not in allowed:
        headers["Allow"] = ", ".join([*allowed, "HEAD"])
    return ProblemResponse(Problem(error.status_code, _DETAILS.get(error.status_code, error.detail), headers))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"where": _location(fault["loc"]), "message": _message(fault["msg"])} for fault in error.errors()]
    detail = "; ".join(f"{fault['where']}: {fault['message']}" for fault in errors)
    return ProblemResponse(Problem(422, detail, errors=errors))


async def _no_database(request: Request, error: Exception) -> Response:
    assert isinstance(error, SQLAlchemyError)
    if is_about_a_value(error):
        log.warning("request refused: the database cannot hold one of its values", path=request.scope["path"])
        return ProblemResponse(Problem(422, "the database cannot hold a value of this request"))
    reason = describe_error(error)
    log.error("request failed at the database", path=request.scope["path"], reason=reason)
    return ProblemResponse(busy(f"the database cannot be used now: {reason}", _DATABASE_RETRY_S))


def is_about_a_value(error: SQLAlchemyError) -> bool:
    """True for a value that the driver or the database refuses: an error of the request, not of the database."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError)
    return isinstance(error, StatementError) and isinstance(error.orig, ValueError | OverflowError)


async def _full(request: Request, error: Exception) -> Response:
    assert isinstance(error, LaneFull)
    return ProblemResponse(busy(str(error), error.retry_s))


async def _crash(request: Request, error: Exception) -> Response:
    return ProblemResponse(Problem(500, "the hub failed at this request; its log has the details"))


def _location(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")


_DETAILS = {
    404: "there is nothing at this address; /docs lists what there is",
    405: "this address does not support this method; the Allow header lists those it supports",
}
