"""The documents of the trace routes: their models for OpenAPI, and results streamed from spools."""

import json
import re
from collections.abc import AsyncIterator
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, WithJsonSchema
from starlette.types import Receive, Scope, Send

from alerts.model.moments import rfc3339
from hub.trace.domains import DomainName
from hub.trace.jobs import Job
from hub.trace.pipeline import Inline, Seeds
from hub.trace.spool import Spool

MAX_IDS = 200_000
_SEEDS_PER_CHUNK = 1000
NOTE = "Jobs and their results live for one hour after their end, and do not survive a restart of the hub."


_ID = r"^ *[!-~][ -~]*$"
_is_id = re.compile(_ID[:-1] + r"\Z").match


def _ids(ids: list[str]) -> list[str]:
    for at, each in enumerate(ids):
        if len(each) > 64 or not _is_id(each):
            raise ValueError(f"the id at index {at} must be 1 to 64 printable ASCII characters")
    return ids


ContainerId = Annotated[str, WithJsonSchema({"type": "string", "pattern": _ID, "maxLength": 64})]
ContainerIds = Annotated[
    list[ContainerId],
    FailFast(),
    Field(min_length=1, max_length=MAX_IDS, description="CONTAINERIDs; each counts once."),
    AfterValidator(_ids),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SeedRequest(_Request):
    """`params` of query_tool: wafer_lot, lot_id, work_order; of query_tool_reverse: serial_number, gd_work_order,
    gd_lot_id; each with a list of values. Of mid_section_defect: start, end (not included), station."""

    profile: Literal["query_tool", "query_tool_reverse", "mid_section_defect"]
    params: dict[str, Any]


class LineageRequest(_Request):
    """The ancestors of the containers, their descendants, or both."""

    container_ids: ContainerIds
    direction: Literal["ancestors", "descendants", "both"] = "ancestors"


class EventsRequest(_Request):
    """The events of the containers."""

    container_ids: ContainerIds
    domains: Annotated[list[DomainName], FailFast(), Field(min_length=1, max_length=20)]


class QualityDocument(BaseModel):
    """What is missing from a result. `failed_ranges`: domain, first and last id, count and code of batches.
    `unreadable_cells`: dates and numbers that could not be decoded; they are null in their rows."""

    status: Literal["complete", "partial", "truncated", "failed"]
    reasons: list[str]
    failed_ranges: list[dict[str, Any]]
    observed_rows: int
    truncated: bool
    unreadable_cells: int = 0  # only where there are any


class SeedReply(BaseModel):
    """The containers that a trace begins with."""

    stage: Literal["seed"]
    profile: str
    seeds: list[dict[str, str | None]]
    seed_count: int
    quality: QualityDocument


class LineageReply(BaseModel):
    """`source` of an edge went into its `target`."""

    stage: Literal["lineage"]
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    node_count: int
    edge_count: int
    quality: QualityDocument


class EventsReply(BaseModel):
    """Per domain its rows as `data`, their `count` and the `quality`; and the quality of the whole."""

    stage: Literal["events"]
    results: dict[str, dict[str, Any]]
    quality: QualityDocument


class JobAccepted(BaseModel):
    """The request continues as a job."""

    job_id: str
    status_url: str
    note: str = NOTE


class JobDocument(BaseModel):
    """A job with its status and progress. The names of `parts` are the values of `GET …/events?domain=`."""

    job_id: str
    kind: Literal["events", "lineage"]
    status: Literal["running", "finished", "failed", "cancelled"]
    error: str | None = None  # only of a job that failed
    progress: dict[str, int]
    parts: dict[str, QualityDocument]
    quality: QualityDocument
    created_at: str
    ended_at: str | None
    expires_at: str | None
    note: str = NOTE


class JobPage(BaseModel):
    """Rows of one part of a job's result."""

    items: list[dict[str, Any]]
    next_cursor: str | None
    domain: str
    quality: QualityDocument


def accepted(job: Job) -> dict[str, Any]:
    """The body of a 202."""
    return {"job_id": job.id, "status_url": f"/api/trace/jobs/{job.id}", "note": NOTE}


def describe_job(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    return {
        "job_id": job.id,
        "kind": job.work.kind,
        "status": job.status,
        **({"error": job.error} if job.error else {}),
        "progress": dict(job.work.progress()),
        "parts": {part: job.work.quality(part).document() for part in job.work.parts},
        "quality": job.quality.document(),
        "created_at": rfc3339(job.created_at),
        "ended_at": rfc3339(job.ended_at),
        "expires_at": rfc3339(job.expires_at),
        "note": NOTE,
    }


async def seeds_body(profile: str, seeds: Seeds) -> AsyncIterator[bytes]:
    """Yield the JSON of a `SeedReply`, a thousand seeds per chunk."""
    yield b'{"stage":"seed","profile":%b,"seeds":[' % _json(profile)
    found = iter(seeds.found.items())
    separator = b""
    while some := list(islice(found, _SEEDS_PER_CHUNK)):
        texts = (_json({"container_id": each, "container_name": name}) for each, name in some)
        yield separator + b",".join(texts)
        separator = b","
    yield b'],"seed_count":%d,"quality":%b}' % (len(seeds.found), _json(seeds.quality.document()))


class SpoolResponse(StreamingResponse):
    """The response of an inline result; it removes the spool at its end, also after an error."""

    def __init__(self, inline: Inline) -> None:
        super().__init__(_body(inline), media_type="application/json")
        self._spool = inline.spool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._spool.remove()


async def _body(inline: Inline) -> AsyncIterator[bytes]:
    work, spool = inline.work, inline.spool
    yield b'{"stage":"%b",' % work.kind.encode()
    if work.kind == "events":
        yield b'"results":{'
        for at, part in enumerate(work.parts):
            yield b"%b%b:{" % (b"," if at else b"", _json(part))
            yield b'"count":%d,"quality":%b,"data":' % (spool.rows[part], _json(work.quality(part).document()))
            async for chunk in array(spool, part):
                yield chunk
            yield b"}"
        yield b"},"
    else:
        for part in work.parts:
            yield b'"%b_count":%d,%b:' % (part.removesuffix("s").encode(), spool.rows[part], _json(part))
            async for chunk in array(spool, part):
                yield chunk
            yield b","
    yield b'"quality":%b}' % _json(work.overall().document())


async def array(spool: Spool, part: str) -> AsyncIterator[bytes]:
    """Yield the lines of a part as a JSON array, in chunks. No line contains a newline: JSON escapes it."""
    yield b"["
    held = b""
    async for chunk in spool.stream(part):
        yield held
        held = chunk.replace(b"\n", b",")
    yield held.removesuffix(b",")
    yield b"]"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
