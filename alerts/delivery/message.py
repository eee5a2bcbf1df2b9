"""The documents of messages, and the headers of a webhook, signed as Standard Webhooks says."""

import base64
import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from alerts.model.alert import Alert
from alerts.model.delivery import Notice
from alerts.model.document import AlertFacts, Document, Origin, encode
from alerts.model.moments import rfc3339
from alerts.model.sample import Value

_COMMITTED = '"decision_to_commit":{}}}}}'
_NOT_COMMITTED = _COMMITTED.format("null")


def subject_id(subject: str) -> str:
    """The id people know: `unit/gate-a` -> `gate-a`, `equipment/fab/GWBK-9001` and `hub/receiver/ops` likewise."""
    kind, _, rest = subject.partition("/")
    if kind in ("equipment", "hub"):
        return rest.partition("/")[2] or rest
    return rest or kind


def alert_document(
    alert: Alert, labels: Mapping[str, str], name: str | None, metric_label: str | None
) -> AlertFacts:
    """The `alert` object of a document, which the API shows too.

    `window` says what a value over a window of time was made of; `duration_s` how long a cleared alert lasted by
    the steady clock. Both are left out where they are not known.
    """
    document: AlertFacts = {
        "id": alert.id,
        "rule": alert.rule,
        "subject": subject_id(alert.subject),
        "name": name,
        "labels": dict(labels),
        "severity": alert.severity,
        "state": str(alert.state),
        "metric": alert.metric,
        "metric_label": metric_label,
        "value": _finite(alert.value),
        "threshold": _finite(alert.threshold),
        "peak": _finite(alert.peak),
        "started_at": rfc3339(alert.started_at),
        "cleared_at": rfc3339(alert.cleared_at),
        "acknowledged_by": alert.acknowledged_by,
        "reason": alert.reason,
    }
    if alert.window is not None:
        samples, coverage, quality = alert.window
        document["window"] = {"from": "lp", "samples": samples, "coverage": coverage, "quality": list(quality)}
    if alert.lasted is not None:
        document["duration_s"] = round(alert.lasted, 3)
    return document


def document_of(notice: Notice, origin: Origin) -> Document:
    """What the messages of a transition say. How long its commit takes is not known yet: see `with_commit_time`."""
    transition, alert = notice.transition, notice.transition.alert
    return {
        "version": 1,
        "type": str(transition.type),
        "id": notice.alert_id,
        "sequence": alert.sequence,
        "at": rfc3339(transition.at),
        "persisted": notice.persisted,
        "alert": alert_document(alert, notice.labels, notice.name, notice.metric_label),
        "summary": notice.summary,
        "hub": origin.hub,
        "comment": alert.comment,
        "zone": origin.zone,
        "links": {} if origin.public_url is None else {"hub": origin.public_url},
        "latency_ms": {"sample_to_decision": _ms(notice.sample_to_decision_ms), "decision_to_commit": None},
    }


def documented(notice: Notice, origin: Origin) -> Notice:
    """The notice with its document."""
    return replace(notice, document=encode(document_of(notice, origin)))


def with_commit_time(document: str, decision_to_commit_ms: float) -> str:
    """The encoded document with the time of its commit, which is its last field."""
    return document.removesuffix(_NOT_COMMITTED) + _COMMITTED.format(_ms(decision_to_commit_ms))


def plain_document(type_: str, id_: str, at: datetime, summary: str, hub: str) -> Document:
    """What a message says that is about no alert: `test`, `heartbeat` or `digest`."""
    return {"version": 1, "type": type_, "id": id_, "at": rfc3339(at), "summary": summary, "hub": hub}


def sign(id_: str, timestamp: int, body: bytes, keys: Sequence[bytes]) -> str:
    """The value of `webhook-signature`: one `v1,<base64>` for each key."""
    content = f"{id_}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)


def headers(id_: str, timestamp: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """What Standard Webhooks asks of one attempt; `timestamp` is epoch seconds of the attempt."""
    found = {"webhook-id": id_, "webhook-timestamp": str(timestamp)}
    if keys:
        found["webhook-signature"] = sign(id_, timestamp, body, keys)
    return found


def _finite(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
