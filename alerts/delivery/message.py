"""Body and headers of a webhook: format `hub`, version 1, signed as Standard Webhooks says."""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from alerts.model.alert import Alert
from alerts.model.delivery import Notice
from alerts.model.sample import Value

_COMMITTED = b'"decision_to_commit":%b}}'
_NOT_COMMITTED = _COMMITTED % b"null"


def subject_id(subject: str) -> str:
    """The id people know: `unit/gate-a` -> `gate-a`, `equipment/fab/GWBK-9001` and `hub/receiver/ops` likewise."""
    kind, _, rest = subject.partition("/")
    if kind in ("equipment", "hub"):
        return rest.partition("/")[2] or rest
    return rest or kind


def format_time(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds and `Z`."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def alert_document(
    alert: Alert, labels: Mapping[str, str], name: str | None, metric_label: str | None
) -> dict[str, object]:
    """The `alert` object of the body, which the API shows too.

    `window` says what a value over a window of time was made of; `duration_s` how long a cleared alert lasted by
    the steady clock. Both are left out where they are not known.
    """
    document: dict[str, object] = {
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
        "started_at": format_time(alert.started_at),
        "cleared_at": format_time(alert.cleared_at),
        "acknowledged_by": alert.acknowledged_by,
        "reason": alert.reason,
    }
    if alert.window is not None:
        samples, coverage, quality = alert.window
        document["window"] = {"from": "lp", "samples": samples, "coverage": coverage, "quality": list(quality)}
    if alert.lasted is not None:
        document["duration_s"] = round(alert.lasted, 3)
    return document


def render(notice: Notice, hub: str) -> bytes:
    """The body of a transition, UTF-8 JSON. The same notice gives the same bytes."""
    transition = notice.transition
    return _encode(
        {
            "version": 1,
            "type": str(transition.type),
            "id": notice.alert_id,
            "sequence": transition.alert.sequence,
            "at": format_time(transition.at),
            "persisted": notice.persisted,
            "alert": alert_document(transition.alert, notice.labels, notice.name, notice.metric_label),
            "summary": notice.summary,
            "hub": hub,
            "latency_ms": {
                "sample_to_decision": _ms(notice.sample_to_decision_ms),
                "decision_to_commit": _ms(notice.decision_to_commit_ms),
            },
        }
    )


def with_commit_time(body: bytes, decision_to_commit_ms: float) -> bytes:
    """What `render` gives for a notice whose time of commit was not known, with that time in its last field."""
    return body.removesuffix(_NOT_COMMITTED) + _COMMITTED % json.dumps(_ms(decision_to_commit_ms)).encode()


def render_plain(type_: str, id_: str, at: datetime, summary: str, hub: str) -> bytes:
    """The body of a message that is about no alert: `test` or `heartbeat`."""
    document = {"version": 1, "type": type_, "id": id_, "at": format_time(at), "summary": summary, "hub": hub}
    return _encode(document)


def render_digest(id_: str, at: datetime, bodies: Sequence[bytes], hub: str) -> bytes:
    """Many messages in one: `items` holds their bodies as they would have been sent, oldest first."""
    items = [json.loads(body) for body in bodies]
    kinds: dict[str, int] = {}
    for item in items:
        kind = item["type"].removeprefix("alert.")
        kinds[kind] = kinds.get(kind, 0) + 1
    summary = f"{len(items)} messages: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return _encode(
        {
            "version": 1,
            "type": "digest",
            "id": id_,
            "at": format_time(at),
            "items": items,
            "summary": summary,
            "hub": hub,
        }
    )


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


def _encode(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _finite(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
