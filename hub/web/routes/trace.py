"""Trace: seeds, lineage and events of containers; large requests run as jobs whose results are read in pages."""

import json
from collections.abc import AsyncIterator, Awaitable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import HTTPConnection

from alerts.store.page import FOREIGN_CURSOR
from hub.oracle.admission import LaneBusy
from hub.oracle.connection import OracleError
from hub.trace.jobs import Job, JobRefused, JobStatus
from hub.trace.pipeline import Inline, TracePipeline
from hub.web.access import PartsOf
from hub.web.auth.roles import Viewer, for_viewers
from hub.web.auth.security import LOCAL, Caller
from hub.web.http.bodies import body_limit
from hub.web.http.long_responses import long_response
from hub.web.http.problems import Problem, busy, invalid
from hub.web.http.slots import CallerSlots
from hub.web.http.streaming import streamed
from hub.web.trace_documents import (
    EventsReply,
    EventsRequest,
    JobAccepted,
    JobDocument,
    JobPage,
    LineageReply,
    LineageRequest,
    SeedReply,
    SeedRequest,
    SpoolResponse,
    accepted,
    describe_job,
    seeds_body,
)

T = TypeVar("T")
_BODY_BYTES = 6 << 20  # a trace may begin with 200,000 container ids
_SEED_BYTES = 256 << 10  # thousands of names
_DISK_RETRY_S = 60.0
_BUSY_RETRY_S = 2.0


def trace_routes() -> APIRouter:
    """POST /api/trace/seed, /lineage, /events; GET and DELETE of jobs; GET /api/trace/status."""
    routes = APIRouter(prefix="/api/trace", tags=["trace"], dependencies=for_viewers())
    post, many = ["POST"], body_limit(_BODY_BYTES)
    unset: dict[str, Any] = {"response_model_exclude_unset": True}
    job: dict[int | str, dict[str, Any]] = {202: {"model": JobAccepted}}
    routes.add_api_route(
        "/seed",
        find_seeds,
        methods=post,
        dependencies=body_limit(_SEED_BYTES),
        responses={200: {"model": SeedReply}},
        response_class=Response,
    )
    routes.add_api_route(
        "/lineage",
        find_lineage,
        methods=post,
        dependencies=[*many, *long_response()],
        responses={200: {"model": LineageReply}, **job},
        response_class=Response,
    )
    routes.add_api_route(
        "/events",
        find_events,
        methods=post,
        dependencies=[*many, *long_response()],
        responses={200: {"model": EventsReply}, **job},
        response_class=Response,
    )
    routes.add_api_route("/status", get_status)
    routes.add_api_route("/jobs/{job_id}", get_job, response_model=JobDocument, **unset)
    routes.add_api_route("/jobs/{job_id}", delete_job, methods=["DELETE"], response_model=JobDocument, **unset)
    routes.add_api_route(
        "/jobs/{job_id}/events",
        get_job_events,
        dependencies=long_response(),
        response_class=Response,
        responses={200: {"model": JobPage, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
    )
    return routes


async def _trace(parts: PartsOf) -> TracePipeline:
    if parts.trace is None:
        raise Problem(
            404, "there is no trace: no equipment feed is configured; add one of kind oracle-equipment to feeds"
        )
    return parts.trace


TraceOf = Annotated[TracePipeline, Depends(_trace)]


def _owner(caller: Caller) -> str | None:
    """The owner whose limits a job counts against; None, without limits, on a hub without tokens."""
    return None if caller is LOCAL else caller.name


def trace_slots() -> CallerSlots:
    """The slots of trace requests: each holds ids and database rows in memory until its response is sent."""
    return CallerSlots(total=8, per_caller=4)


async def _slot(caller: Viewer, connection: HTTPConnection) -> AsyncIterator[None]:
    slots: CallerSlots = connection.app.state.trace_slots
    if not await slots.acquire(caller.name):
        raise busy("too many traces at once; ask again in a moment", _BUSY_RETRY_S)
    try:
        yield
    finally:
        slots.release(caller.name)


SlotOf = Annotated[None, Depends(_slot)]
"""Holds a slot until the response is sent; 503 with Retry-After when none is free."""


async def _job(job_id: Annotated[str, Path(max_length=64, pattern="^[0-9a-f]+$")], trace: TraceOf) -> Job:
    job = trace.jobs.get(job_id)
    if job is None:
        raise Problem(404, f"there is no job {job_id!r}; jobs end an hour after their work, and with a restart")
    return job


JobOf = Annotated[Job, Depends(_job)]


async def find_seeds(request: SeedRequest, trace: TraceOf, slot: SlotOf) -> Response:
    """The containers of lots, wafers, orders, serial numbers or a range of dates."""
    try:
        seeds = await _or_busy(trace.seed(request.profile, request.params))
    except ValueError as error:
        raise Problem(422, f"params: {error}") from None
    return await streamed(seeds_body(request.profile, seeds), "application/json")


async def find_lineage(request: LineageRequest, trace: TraceOf, slot: SlotOf, caller: Viewer) -> Response:
    """Splits and merges around containers: at once up to 1,000 ids, else 202 and a job."""
    return _answer(await _or_busy(trace.lineage(request.container_ids, request.direction, _owner(caller))))


async def find_events(request: EventsRequest, trace: TraceOf, slot: SlotOf, caller: Viewer) -> Response:
    """Rows per domain: at once up to 1,000 ids, else 202 and a job."""
    return _answer(await _or_busy(trace.events(request.container_ids, request.domains, _owner(caller))))


async def get_status(trace: TraceOf) -> dict[str, Any]:
    """Whether the database answers now (null: the simulated plant), its lanes, and the running jobs."""
    try:
        reachable, round_trip_s, code = True, await trace.ping(), None
    except OracleError as error:
        reachable, round_trip_s, code = False, None, error.code
    lanes = {
        lane.name: {
            "breaker": lane.breaker.state.name.lower(),
            "sessions": lane.counters.open,
            "waiting": lane.admission.waiting,
            "refused": lane.admission.refused,
        }
        for lane in trace.lanes
    }
    database = {"reachable": reachable, "round_trip_s": round_trip_s, "code": code} if trace.lanes else None
    return {"database": database, "lanes": lanes, "jobs_running": trace.jobs.running}


async def get_job(job: JobOf) -> dict[str, Any]:
    """The state of a job. It is kept for one hour after its end, and does not survive a restart."""
    return describe_job(job)


async def delete_job(job: JobOf, trace: TraceOf) -> dict[str, Any]:
    """Cancel a running job, with its statements, or remove one that has ended. Its rows are deleted at once."""
    await trace.jobs.delete(job)
    return describe_job(job)


async def get_job_events(
    job: JobOf,
    domain: Annotated[str | None, Query(max_length=64, description="Default: the job's only part.")] = None,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,15}$", description="A `next_cursor`.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    format: Annotated[
        Literal["json", "ndjson"], Query(description="`ndjson`: all at once, a row per line.")
    ] = "json",
) -> Response:
    """Rows of a job that has ended. The last line of `ndjson` is `{"quality": …}`."""
    part = _part(job, domain)
    if job.status is JobStatus.RUNNING:
        raise Problem(409, f"job {job.id} still runs", progress=dict(job.work.progress()))
    if job.status is JobStatus.CANCELLED:
        raise Problem(409, f"job {job.id} was cancelled; its rows are gone", quality=job.quality.document())
    quality = job.work.quality(part).document()
    offset = int(cursor or 0)
    try:
        if format == "ndjson":
            chunks = job.spool.stream(part, offset)
            first = await anext(chunks, b"")
            return StreamingResponse(_lines(first, chunks, quality), media_type="application/x-ndjson")
        lines, following = await job.spool.page(part, offset, limit)
    except ValueError:
        raise invalid(FOREIGN_CURSOR) from None
    except FileNotFoundError:
        raise Problem(404, f"the rows of job {job.id} are gone") from None
    tail = {"next_cursor": None if following is None else str(following), "domain": part, "quality": quality}
    body = b'{"items":[%b],%b' % (b",".join(lines).replace(b"\n", b""), json.dumps(tail).encode()[1:])
    return Response(body, media_type="application/json")


async def _lines(first: bytes, rest: AsyncIterator[bytes], quality: dict[str, Any]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
    yield json.dumps({"quality": quality}).encode() + b"\n"


def _part(job: Job, domain: str | None) -> str:
    parts = job.work.parts
    if domain is None and len(parts) == 1:
        return parts[0]
    if domain not in parts:
        raise Problem(422, f"domain: must be one of {', '.join(parts)}")
    return domain


def _answer(result: Inline | Job) -> Response:
    if isinstance(result, Inline):
        return SpoolResponse(result)
    body = accepted(result)
    return JSONResponse(body, 202, headers={"location": body["status_url"]})


async def _or_busy(answer: Awaitable[T]) -> T:
    """The answer. Raises Problem 503 with Retry-After when it is refused for now."""
    try:
        return await answer
    except LaneBusy as refusal:
        raise busy(f"the database accepts no request now: {refusal.text}", refusal.retry_after_s) from None
    except JobRefused as refusal:
        raise busy(f"no further request of this size now: {refusal}", refusal.retry_after_s) from None
    except OSError:
        raise busy("the result cannot be written: check the disk of hub.data_dir", _DISK_RETRY_S) from None
