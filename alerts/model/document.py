"""The document of a message: its content before any channel formats it. Stored once with its transition."""

import json
from typing import NamedTuple, NotRequired, TypedDict, cast

from alerts.model.sample import Value
from alerts.model.storable import storable

WindowFacts = TypedDict("WindowFacts", {"from": str, "samples": int, "coverage": float, "quality": list[str]})
"""The samples behind a value over a window of time; `coverage` is 0..1."""


class AlertFacts(TypedDict):
    """The alert after the transition. Levels in dB, times RFC 3339 in UTC; None where not known."""

    id: str | None
    rule: str
    subject: str  # the bare id, such as gate-a
    name: str | None  # what people call the subject
    labels: dict[str, str]
    severity: str
    state: str
    metric: str
    metric_label: str | None  # the symbol of its level, such as LAeq,15min
    value: Value
    threshold: Value
    peak: Value
    started_at: str | None
    cleared_at: str | None
    acknowledged_by: str | None
    reason: str | None
    window: NotRequired[WindowFacts]
    duration_s: NotRequired[float]  # how long it lasted, once it has cleared


class Latency(TypedDict):
    """Milliseconds from the sample to the decision, and from there to the end of the commit."""

    sample_to_decision: float | None
    decision_to_commit: float | None


class Document(TypedDict):
    """The content of a message. A message about no alert (test, digest) has the first six keys only."""

    version: int
    type: str
    id: str  # of the alert, or of the message where there is none
    at: str
    summary: str
    hub: str  # its name
    sequence: NotRequired[int]
    persisted: NotRequired[bool]
    alert: NotRequired[AlertFacts]
    comment: NotRequired[str | None]  # of the acknowledgement
    zone: NotRequired[str]  # IANA name of the hub's time zone
    links: NotRequired[dict[str, str]]  # `hub`: the address of its pages, where it has one
    latency_ms: NotRequired[Latency]


# json.dumps with options makes an encoder for each call
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Origin(NamedTuple):
    """The hub that messages come from."""

    hub: str  # its name
    zone: str = "UTC"  # IANA name of its time zone
    public_url: str | None = None  # where people reach its pages


def encode(document: Document) -> str:
    """JSON on one line that every database can hold, so that storing does not change it."""
    return storable(_ENCODER.encode(document))


def decode(text: str) -> Document:
    """The document of `encode`."""
    return cast(Document, json.loads(text))
