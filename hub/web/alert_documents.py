"""The API's documents of stored alerts, transitions and deliveries."""

from collections.abc import Iterable
from typing import Any

from alerts.delivery.message import alert_document
from alerts.model.moments import rfc3339
from alerts.store.queries import AlertHistory, DeliveryResult, to_alert
from alerts.store.stored import decode_alert, decode_labels
from alerts.store.tables import AlertRow, AttemptRow, TransitionRow

_SHOWN = ("severity", "state", "value", "threshold", "peak", "acknowledged_by", "reason")
_OF_TRANSITIONS = ("window", "duration_s")  # which have no columns of their own


def alert_of(row: AlertRow) -> dict[str, Any]:
    """An alert as in the body of a webhook."""
    return dict(alert_document(to_alert(row), decode_labels(row.labels), row.name, row.metric_label))


def alert_history_of(history: AlertHistory) -> dict[str, Any]:
    """An alert with all its `transitions` and `deliveries`."""
    latest = _document(history.transitions[-1]) if history.transitions else {}
    return {
        **alert_of(history.alert),
        **{name: latest[name] for name in _OF_TRANSITIONS if name in latest},
        "transitions": [_transition(row) for row in history.transitions],
        "deliveries": [delivery_of(result) for result in history.deliveries],
    }


def alerts_of(rows: Iterable[AlertRow]) -> list[dict[str, Any]]:
    """Alerts without their transitions and deliveries."""
    return [alert_of(row) for row in rows]


def _document(row: TransitionRow) -> dict[str, Any]:
    return dict(alert_document(decode_alert(row.alert, 0.0), {}, row.name, row.metric_label))


def _transition(row: TransitionRow) -> dict[str, Any]:
    alert = decode_alert(row.alert, 0.0)
    document = _document(row)
    return {
        "sequence": row.sequence,
        "type": row.type,
        "at": rfc3339(row.at),
        "summary": row.summary,
        "persisted": row.persisted,
        **{name: document[name] for name in (*_SHOWN, *_OF_TRANSITIONS) if name in document},
        "comment": alert.comment,
    }


def delivery_of(result: DeliveryResult) -> dict[str, Any]:
    """A delivery with the result of its last attempt."""
    row, last = result.delivery, result.last_attempt
    return {
        "id": row.id,
        "receiver": row.receiver,
        "type": row.type,
        "alert_id": row.alert_id,
        "sequence": row.sequence,
        "state": row.state,
        "attempts": row.attempts,
        "created_at": rfc3339(row.created_at),
        "next_at": rfc3339(row.next_at),
        "finished_at": rfc3339(row.finished_at),
        "last_attempt": None if last is None else _attempt(last),
    }


def _attempt(row: AttemptRow) -> dict[str, Any]:
    return {
        "at": rfc3339(row.at),
        "duration_s": round(row.duration_s, 3),
        "status": row.status,
        "error": row.error,
        "answer": row.answer,
    }
