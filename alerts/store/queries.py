"""Lists alerts and deliveries with their attempts, newest first, and deletes old ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, tuple_
from sqlmodel import Session, col, select

from alerts.model.alert import Alert, State
from alerts.store.page import Page, decode_cursor, encode_cursor
from alerts.store.statements import in_parts
from alerts.store.stored import decode_value
from alerts.store.tables import AlertRow, AttemptRow, DeliveryRow, TransitionRow

_OPEN = (State.FIRING.value, State.CLEARING.value)


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """A delivery and its newest attempt."""

    delivery: DeliveryRow
    last_attempt: AttemptRow | None


@dataclass(frozen=True, slots=True)
class AlertHistory:
    """One alert with its transitions and deliveries, oldest first."""

    alert: AlertRow
    transitions: list[TransitionRow]
    deliveries: list[DeliveryResult]


def list_alerts(
    session: Session,
    *,
    state: str | None = None,
    subject: str | None = None,
    rule: str | None = None,
    severity: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[AlertRow]:
    """Alerts by onset, newest first. `state` may be `open`; `subject` is the bare id or the whole subject.

    Raises ValueError for a cursor that no list of alerts returned.
    """
    query = select(AlertRow)
    if state == "open":
        query = query.where(col(AlertRow.state).in_(_OPEN))
    elif state is not None:
        query = query.where(AlertRow.state == state)
    if subject is not None:
        bare = col(AlertRow.subject).endswith("/" + subject, autoescape=True)
        query = query.where(or_(col(AlertRow.subject) == subject, bare))
    if rule is not None:
        query = query.where(AlertRow.rule == rule)
    if severity is not None:
        query = query.where(AlertRow.severity == severity)
    return _page(session, query, AlertRow.started_at, AlertRow.id, limit, cursor)


def list_deliveries(
    session: Session,
    *,
    state: str | None = None,
    receiver: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[DeliveryResult]:
    """Deliveries by creation, newest first. Raises ValueError for a cursor that no list of deliveries returned."""
    query = select(DeliveryRow)
    if state is not None:
        query = query.where(DeliveryRow.state == state)
    if receiver is not None:
        query = query.where(DeliveryRow.receiver == receiver)
    page: Page[DeliveryRow] = _page(session, query, DeliveryRow.created_at, DeliveryRow.id, limit, cursor)
    return Page(_with_last_attempts(session, page.items), page.next_cursor)


def find_delivery(session: Session, delivery_id: str) -> DeliveryResult | None:
    """One delivery; None when there is no such."""
    row = session.get(DeliveryRow, delivery_id)
    return None if row is None else _with_last_attempts(session, [row])[0]


def find_alert(session: Session, alert_id: str) -> AlertHistory | None:
    """One alert with its transitions, deliveries and attempts; None when there is no such alert."""
    alert = session.get(AlertRow, alert_id)
    if alert is None:
        return None
    transitions = session.exec(
        select(TransitionRow).where(TransitionRow.alert_id == alert_id).order_by(col(TransitionRow.sequence))
    )
    deliveries = session.exec(
        select(DeliveryRow)
        .where(DeliveryRow.alert_id == alert_id)
        .order_by(col(DeliveryRow.sequence), col(DeliveryRow.receiver))
    ).all()
    return AlertHistory(alert, list(transitions), _with_last_attempts(session, deliveries))


def _with_last_attempts(session: Session, rows: Sequence[DeliveryRow]) -> list[DeliveryResult]:
    found: dict[str, AttemptRow] = {}
    for some in in_parts([row.id for row in rows]):
        attempts = select(AttemptRow).where(col(AttemptRow.delivery_id).in_(some)).order_by(col(AttemptRow.id))
        found |= {attempt.delivery_id: attempt for attempt in session.exec(attempts)}
    return [DeliveryResult(row, found.get(row.id)) for row in rows]


def to_alert(row: AlertRow) -> Alert:
    """The alert of a row, without its timers; for `message.alert_document`."""
    return Alert(
        rule=row.rule,
        subject=row.subject,
        rule_hash=row.rule_hash,
        metric=row.metric,
        state=State(row.state),
        id=row.id,
        severity=row.severity,
        value=decode_value(row.value),
        threshold=decode_value(row.threshold),
        peak=decode_value(row.peak),
        started_at=row.started_at,
        cleared_at=row.cleared_at,
        reason=row.reason,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        comment=row.comment,
        sequence=row.sequence,
    )


def delete_older_than(session: Session, cutoff: datetime, limit: int) -> int:
    """Delete at most `limit` alerts that cleared before `cutoff`, with all that belongs to them; return how many.

    Deletes at most `limit` messages about no alert (digest, test) that were created before `cutoff`, too.
    """
    gone = session.exec(
        select(AlertRow.id)
        .where(col(AlertRow.cleared_at) < cutoff, col(AlertRow.state).not_in(_OPEN))
        .order_by(col(AlertRow.cleared_at))
        .limit(limit)
    ).all()
    without_alert = (
        select(DeliveryRow.id)
        .where(col(DeliveryRow.alert_id).is_(None), DeliveryRow.created_at < cutoff, DeliveryRow.state != "pending")
        .limit(limit)
    )
    deliveries = list(session.exec(without_alert))
    for some in in_parts(gone):
        deliveries += session.exec(select(DeliveryRow.id).where(col(DeliveryRow.alert_id).in_(some)))
    _delete(session, col(AttemptRow.delivery_id), deliveries)
    _delete(session, col(DeliveryRow.id), deliveries)
    _delete(session, col(TransitionRow.alert_id), gone)
    _delete(session, col(AlertRow.id), gone)
    return len(gone)


def _delete(session: Session, key: Any, values: Sequence[str]) -> None:
    for some in in_parts(values):
        session.connection().execute(delete(key.class_.__table__).where(key.in_(some)))


def _page(session: Session, query: Any, at: Any, id_: Any, limit: int, cursor: str | None) -> Page[Any]:
    if cursor is not None:
        query = query.where(tuple_(at, id_) < tuple_(*decode_cursor(cursor, str)))
    rows: Sequence[Any] = session.exec(query.order_by(at.desc(), id_.desc()).limit(limit + 1)).all()
    items = list(rows[:limit])
    if len(rows) <= limit:
        return Page(items, None)
    last = items[-1]
    return Page(items, encode_cursor(getattr(last, at.key), last.id))
