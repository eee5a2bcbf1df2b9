"""The hub's own format, version 1: JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from alerts.delivery.formats.format import Body, Format
from alerts.model.document import Document

# json.dumps with options makes an encoder for each call
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_KEYS = ("version", "type", "id", "sequence", "at", "persisted", "alert", "summary", "hub", "latency_ms")


def render(document: Document) -> Body:
    """The document without what other channels need beside it."""
    return _body(_message(document))


def render_digest(head: Document, documents: Sequence[Document]) -> Body:
    """`items` holds the messages as they would have been sent."""
    items = [_message(document) for document in documents]
    message = _message(head)
    last = {key: message.pop(key) for key in ("summary", "hub")}
    return _body({**message, "items": items, **last})


def _message(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: document[key] for key in _KEYS if key in document}


def _body(message: Mapping[str, Any]) -> Body:
    return Body(_ENCODER.encode(message).encode())


FORMAT = Format(render, render_digest)
