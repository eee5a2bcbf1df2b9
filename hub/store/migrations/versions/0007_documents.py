"""What the messages of a transition say, in no receiver's format; and the content type of what a delivery sent.

A transition whose deliveries are not all delivered gets a document: the body of one of them, which was the same
for every receiver. Where the hub ended before it had stored the body, it is made from the other columns.
"""

import json
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TRANSITIONS = sa.table(
    "transitions",
    sa.column("alert_id", sa.String),
    sa.column("sequence", sa.Integer),
    sa.column("type", sa.String),
    sa.column("at", sa.DateTime(timezone=True)),
    sa.column("alert", sa.Text),
    sa.column("labels", sa.Text),
    sa.column("summary", sa.Text),
    sa.column("persisted", sa.Boolean),
    sa.column("sample_to_decision_ms", sa.Float),
    sa.column("name", sa.String),
    sa.column("metric_label", sa.String),
    sa.column("document", sa.Text),
)
_DELIVERIES = sa.table(
    "deliveries",
    sa.column("alert_id", sa.String),
    sa.column("sequence", sa.Integer),
    sa.column("state", sa.String),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("body", sa.Text),
)
_OWN = sa.and_(_DELIVERIES.c.alert_id == _TRANSITIONS.c.alert_id, _DELIVERIES.c.sequence == _TRANSITIONS.c.sequence)
_IS_TO_BE_SENT = sa.exists().where(_OWN, _DELIVERIES.c.state != "delivered").correlate(_TRANSITIONS)


def upgrade() -> None:
    op.add_column("transitions", sa.Column("document", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("content_type", sa.String(), nullable=True))
    body = sa.select(sa.func.max(_DELIVERIES.c.body)).where(_OWN).correlate(_TRANSITIONS).scalar_subquery()
    op.execute(_TRANSITIONS.update().where(_IS_TO_BE_SENT).values(document=body))

    connection = op.get_bind()
    newest = sa.select(_DELIVERIES.c.body).where(_DELIVERIES.c.body.is_not(None))
    known = connection.execute(newest.order_by(_DELIVERIES.c.created_at.desc()).limit(1)).scalar()
    hub = json.loads(known or "{}").get("hub", "")
    left = sa.select(_TRANSITIONS).where(_IS_TO_BE_SENT, _TRANSITIONS.c.document.is_(None))
    for row in connection.execute(left).mappings().all():
        own = (_TRANSITIONS.c.alert_id == row["alert_id"], _TRANSITIONS.c.sequence == row["sequence"])
        text = json.dumps(_document(row, hub), separators=(",", ":"), ensure_ascii=False)
        connection.execute(_TRANSITIONS.update().where(*own).values(document=text))


def _document(row: Any, hub: str) -> dict[str, Any]:
    latency_ms = row["sample_to_decision_ms"]
    return {
        "version": 1,
        "type": row["type"],
        "id": row["alert_id"],
        "sequence": row["sequence"],
        "at": _time(row["at"]),
        "persisted": row["persisted"],
        "alert": _alert(json.loads(row["alert"]), row),
        "summary": row["summary"],
        "hub": hub,
        "latency_ms": {
            "sample_to_decision": None if latency_ms is None else round(latency_ms, 3),
            "decision_to_commit": None,
        },
    }


def _alert(stored: dict[str, Any], row: Any) -> dict[str, Any]:
    kind, _, rest = stored["subject"].partition("/")
    bare = rest.partition("/")[2] or rest if kind in ("equipment", "hub") else rest or kind
    alert = {
        "id": stored["id"],
        "rule": stored["rule"],
        "subject": bare,
        "name": row["name"],
        "labels": json.loads(row["labels"]),
        "severity": stored["severity"],
        "state": stored["state"],
        "metric": stored["metric"],
        "metric_label": row["metric_label"],
        **{key: _finite(stored[key]) for key in ("value", "threshold", "peak")},
        **{key: _time_of(stored[key]) for key in ("started_at", "cleared_at")},
        "acknowledged_by": stored["acknowledged_by"],
        "reason": stored["reason"],
    }
    if stored.get("window") is not None:
        samples, coverage, quality = stored["window"]
        alert["window"] = {"from": "lp", "samples": samples, "coverage": coverage, "quality": quality}
    started_s, cleared_s = stored.get("started_s"), stored.get("cleared_s")
    if started_s is not None and cleared_s is not None:
        alert["duration_s"] = round(max(0.0, cleared_s - started_s), 3)
    return alert


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def _time_of(text: str | None) -> str | None:
    return None if text is None else _time(datetime.fromisoformat(text))


def _time(at: datetime) -> str:
    known = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return known.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
