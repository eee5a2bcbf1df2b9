"""Turns alerts, transitions and deliveries into rows, and inserts rows so that a repeat changes nothing."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Table
from sqlmodel import Session, SQLModel

from alerts.model.alert import Alert
from alerts.model.delivery import Attempt, Delivery, Notice
from alerts.model.storable import storable
from alerts.store.statements import insert_values, value_lists
from alerts.store.stored import encode_labels, encode_value

ALERT_NOW = ("severity", "state", "value", "threshold", "peak", "sequence")
"""The columns of an alert that change without a transition."""


def alert_now(alert: Alert) -> dict[str, object]:
    """The columns of `ALERT_NOW`."""
    return {
        "severity": alert.severity,
        "state": alert.state.value,
        "value": encode_value(alert.value),
        "threshold": encode_value(alert.threshold),
        "peak": encode_value(alert.peak),
        "sequence": alert.sequence,
    }


def alert_values(notice: Notice) -> dict[str, object]:
    """The row of `alerts` after the transition of the notice."""
    alert = notice.transition.alert
    return {
        "id": notice.alert_id,
        "rule": alert.rule,
        "subject": alert.subject,
        "rule_hash": alert.rule_hash,
        "metric": alert.metric,
        **alert_now(alert),
        "started_at": alert.started_at or notice.transition.at,
        "cleared_at": alert.cleared_at,
        "reason": alert.reason,
        "acknowledged_by": alert.acknowledged_by,
        "acknowledged_at": alert.acknowledged_at,
        "comment": alert.comment,
        "labels": encode_labels(notice.labels),
        "name": notice.name,
        "metric_label": notice.metric_label,
    }


def transition_values(notice: Notice, alert_text: str) -> dict[str, object]:
    """A row of `transitions`; `alert_text` is its alert as JSON."""
    alert = notice.transition.alert
    return {
        "alert_id": notice.alert_id,
        "sequence": alert.sequence,
        "type": str(notice.transition.type),
        "at": notice.transition.at,
        "alert": alert_text,
        "labels": encode_labels(notice.labels),
        "name": notice.name,
        "metric_label": notice.metric_label,
        "summary": notice.summary,
        "persisted": notice.persisted,
        "sample_to_decision_ms": notice.sample_to_decision_ms,
        "document": notice.document or None,
    }


def delivery_values(delivery: Delivery) -> dict[str, object]:
    """A row of `deliveries`; its body is NULL until the first attempt."""
    return {
        "id": delivery.id,
        "receiver": delivery.receiver,
        "type": delivery.type,
        "created_at": delivery.created_at,
        "alert_id": delivery.alert_id,
        "sequence": delivery.sequence,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "first_at": delivery.first_at,
        "next_at": delivery.next_at,
        "finished_at": delivery.finished_at,
        "digest_id": delivery.digest_id,
        "body": delivery.body.decode() or None,
        "content_type": delivery.content_type if delivery.body else None,
    }


def attempt_values(attempt: Attempt) -> dict[str, object]:
    """A row of `attempts`."""
    return {
        "delivery_id": attempt.delivery_id,
        "number": attempt.number,
        "at": attempt.at,
        "duration_s": attempt.duration_s,
        "status": attempt.status,
        "error": attempt.error,
        "answer": attempt.answer,
    }


def table_of(model: type[SQLModel]) -> Table:
    """The table of a model, for statements that do without the ORM."""
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def upsert(
    session: Session,
    model: type[SQLModel],
    rows: Sequence[Mapping[str, object]],
    update: Sequence[str] | None = None,
    fill: Sequence[str] = (),
) -> None:
    """Insert; where the key exists, overwrite the columns in `update` (None: all; empty: leave the row alone).

    The columns in `fill` are overwritten too, but never with NULL.
    """
    if not rows:
        return
    table = table_of(model)
    keys = [column.name for column in table.primary_key]
    names = [name for name in rows[0] if name not in keys] if update is None else update
    changes = [f"{name} = excluded.{name}" for name in names]
    changes += [f"{name} = COALESCE(excluded.{name}, {table.name}.{name})" for name in fill]
    then = f"UPDATE SET {', '.join(changes)}" if changes else "NOTHING"
    insert_rows(session, table, rows, f"ON CONFLICT ({', '.join(keys)}) DO {then}")


def insert_rows(session: Session, table: Table, rows: Sequence[Mapping[str, object]], conflict: str = "") -> None:
    """Insert many rows in few statements."""
    if not rows:
        return
    connection = session.connection()
    names = list(rows[0])
    dialect = connection.dialect
    processors = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    values = [
        _storable(value if process is None else process(value))
        for row in rows
        for process, value in zip(processors, row.values(), strict=True)
    ]
    insert_values(connection, table.name, names, values, conflict)


def set_documents(session: Session, notices: Iterable[Notice]) -> None:
    """Give transitions their documents, many rows in one statement."""
    connection = session.connection()
    values = [
        value
        for notice in notices
        for value in (notice.alert_id, notice.transition.alert.sequence, notice.document)
    ]
    for places, part in value_lists(connection.dialect, values, 3):
        connection.exec_driver_sql(
            f"UPDATE transitions SET document = fresh.column3 FROM ({places}) AS fresh "
            "WHERE transitions.alert_id = fresh.column1 AND transitions.sequence = fresh.column2",
            part,
        )


def _storable(value: object) -> object:
    return storable(value) if isinstance(value, str) else value
