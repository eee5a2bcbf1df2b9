"""A transition and its deliveries in one transaction; what is due; what became of it.

Every function takes a session and works inside the caller's transaction.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, delete, update
from sqlmodel import Session, col, select

from alerts.model.alert import Alert
from alerts.model.delivery import JSON, Attempt, Delivery, DeliveryState, Notice
from alerts.store.rows import (
    ALERT_NOW,
    alert_now,
    alert_values,
    attempt_values,
    delivery_values,
    insert_rows,
    set_documents,
    table_of,
    transition_values,
    upsert,
)
from alerts.store.stored import decode_alert, encode_alert
from alerts.store.tables import AlertRow, AlertStateRow, AttemptRow, DeliveryRow, ReceiverHoldRow, TransitionRow
from alerts.store.unstorable import Refused, write_apart

_DELIVERY_FATE = ("state", "attempts", "first_at", "next_at", "finished_at", "digest_id", "body", "content_type")


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restart goes on from: where every rule stood, and which receivers were notified of the open alerts."""

    alerts: list[Alert]
    notified: dict[str, set[str]]  # alert id -> receivers


class Replayed(NamedTuple):
    """Which receivers have to be woken, and how many deliveries are due again."""

    receivers: list[str]
    deliveries: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What a commit writes, made ready beforehand: a thread that works beside a busy event loop slows both down."""

    alerts: list[dict[str, object]]
    transitions: list[dict[str, object]]
    deliveries: list[dict[str, object]]
    states: list[dict[str, object]]
    moved: list[dict[str, object]]  # open alerts without a transition


def rows_of(
    notices: Sequence[Notice], deliveries: Iterable[Delivery], states: Iterable[Alert], offset_s: float
) -> Rows:
    """The rows of transitions with their deliveries, and of states. `offset_s` is `wall_offset_s`."""
    states = list(states)
    texts = {id(alert): encode_alert(alert, offset_s) for alert in states}
    latest = {notice.alert_id: notice for notice in notices}
    written = {id(notice.transition.alert) for notice in notices}
    return Rows(
        [alert_values(notice) for notice in latest.values()],
        [transition_values(notice, _text(notice, texts, offset_s)) for notice in notices],
        [delivery_values(delivery) for delivery in deliveries],
        [{"rule": alert.rule, "subject": alert.subject, "alert": texts[id(alert)]} for alert in states],
        [{"of": alert.id, **alert_now(alert)} for alert in states if alert.is_open and id(alert) not in written],
    )


def write(session: Session, rows: Rows) -> None:
    """Store them. Writing the same twice is harmless."""
    for _, some, write_some in _writers(session, rows):
        write_some(some)


def write_those_that_can_be(session: Session, rows: Rows) -> list[Refused]:
    """Store them but for those that no database takes; returns these."""
    return [
        Refused(table, row, reason)
        for table, some, write_some in _writers(session, rows)
        for row, reason in write_apart(session, some, write_some)
    ]


_Values = Sequence[dict[str, object]]


def _writers(session: Session, rows: Rows) -> Iterator[tuple[str, _Values, Callable[[_Values], None]]]:
    yield "alerts", rows.alerts, lambda some: upsert(session, AlertRow, some)
    yield "transitions", rows.transitions, lambda some: upsert(session, TransitionRow, some, update=())
    yield "deliveries", rows.deliveries, lambda some: upsert(session, DeliveryRow, some, update=())
    yield "alert_states", rows.states, lambda some: upsert(session, AlertStateRow, some)
    yield "alerts", rows.moved, lambda some: _move_alerts(session, some)


def _move_alerts(session: Session, moved: _Values) -> None:
    if moved:
        table = table_of(AlertRow)
        session.connection().execute(
            update(table)
            .where(table.c.id == bindparam("of"))
            .values({name: bindparam(name) for name in ALERT_NOW}),
            list(moved),
        )


def store_documents(session: Session, notices: Iterable[Notice]) -> None:
    """Keep the documents as they are about to be told, so that a repeat after a crash is the same to the byte."""
    set_documents(session, notices)


def restore(session: Session, offset_s: float) -> Restored:
    """Every alert state, its timers on this process's steady clock, and who was told the open ones."""
    alerts = [decode_alert(row.alert, offset_s) for row in session.exec(select(AlertStateRow))]
    open_ids = [alert.id for alert in alerts if alert.is_open and alert.id is not None]
    told: dict[str, set[str]] = {}
    for start in range(0, len(open_ids), 500):
        some = open_ids[start : start + 500]
        rows = session.exec(
            select(DeliveryRow.alert_id, DeliveryRow.receiver).where(col(DeliveryRow.alert_id).in_(some)).distinct()
        )
        for alert_id, receiver in rows:
            told.setdefault(str(alert_id), set()).add(receiver)
    return Restored(alerts, told)


def pending(session: Session, receiver: str, limit: int, state: str = "pending") -> list[Delivery]:
    """Deliveries of a receiver that wait, oldest first."""
    where = (DeliveryRow.receiver == receiver, DeliveryRow.state == state)
    deliveries = _deliveries(session, _WITH_DOCUMENT.where(*where).order_by(*_OLDEST_FIRST).limit(limit))
    members = _members(session, [one.id for one in deliveries if one.type == "digest"])
    return [replace(one, members=members.get(one.id, ())) for one in deliveries]


def members_of(session: Session, digest_id: str) -> list[Delivery]:
    """The deliveries that a digest stands for, oldest first."""
    query = _WITH_DOCUMENT.where(DeliveryRow.digest_id == digest_id).order_by(*_OLDEST_FIRST)
    return _deliveries(session, query)


_OLDEST_FIRST = (col(DeliveryRow.created_at), col(DeliveryRow.alert_id), col(DeliveryRow.sequence))
_WITH_DOCUMENT = select(DeliveryRow, TransitionRow.document).outerjoin(
    TransitionRow,
    and_(
        col(TransitionRow.alert_id) == col(DeliveryRow.alert_id),
        col(TransitionRow.sequence) == col(DeliveryRow.sequence),
    ),
)


def _deliveries(session: Session, query: Any) -> list[Delivery]:
    """Gives up those of which neither the body nor the transition could be stored."""
    found = session.exec(query).all()
    documents: dict[str, str | None] = {row.id: document for row, document in found}
    deliveries = []
    for row in _each_alert_in_order([row for row, _ in found]):
        if row.body is None and documents[row.id] is None:
            row.state = DeliveryState.DEAD.value
            session.add(row)
        else:
            deliveries.append(_to_delivery(row, documents[row.id]))
    return deliveries


def _to_delivery(row: DeliveryRow, document: str | None) -> Delivery:
    return Delivery(
        id=row.id,
        receiver=row.receiver,
        type=row.type,
        created_at=row.created_at,
        body=(row.body or "").encode(),
        alert_id=row.alert_id,
        sequence=row.sequence,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        first_at=row.first_at,
        next_at=row.next_at,
        finished_at=row.finished_at,
        digest_id=row.digest_id,
        document=document or "",
        content_type=row.content_type or JSON,
    )


def record(session: Session, deliveries: Sequence[Delivery], attempts: Sequence[Attempt]) -> None:
    """Mark what became of deliveries and keep the attempts. A delivery sent before it could be stored is stored."""
    for _, rows, write_rows in _recorders(session, deliveries, attempts):
        write_rows(rows)


def record_those_that_can_be(
    session: Session, deliveries: Sequence[Delivery], attempts: Sequence[Attempt]
) -> list[Refused]:
    """Do the same but for rows that no database takes; returns these."""
    return [
        Refused(table, row, reason)
        for table, rows, write_rows in _recorders(session, deliveries, attempts)
        for row, reason in write_apart(session, rows, write_rows)
    ]


def _recorders(
    session: Session, deliveries: Sequence[Delivery], attempts: Sequence[Attempt]
) -> Iterator[tuple[str, _Values, Callable[[_Values], None]]]:
    marks = [delivery_values(delivery) for delivery in deliveries]
    yield "deliveries", marks, lambda rows: upsert(session, DeliveryRow, rows, update=_DELIVERY_FATE)
    tries = [attempt_values(attempt) for attempt in attempts]
    yield "attempts", tries, lambda rows: insert_rows(session, table_of(AttemptRow), rows)


def replay(session: Session, ids: Sequence[str]) -> Replayed:
    """Make dead or held deliveries due again, with the same id and body."""
    return _revive(session, col(DeliveryRow.id).in_(ids))


def replay_between(session: Session, since: datetime, until: datetime, receiver: str | None = None) -> Replayed:
    """Replay all dead or held deliveries created in `since <= t < until`."""
    where = [col(DeliveryRow.created_at) >= since, col(DeliveryRow.created_at) < until]
    return _revive(session, *where, *([] if receiver is None else [col(DeliveryRow.receiver) == receiver]))


def hold(session: Session, receiver: str, fingerprint: str, at: datetime) -> None:
    """Hold what waits for a receiver that said 410 Gone, until `release`."""
    upsert(session, ReceiverHoldRow, [{"receiver": receiver, "fingerprint": fingerprint, "at": at}])
    _move(session, receiver, DeliveryState.PENDING, DeliveryState.HELD)


def release(session: Session, receiver: str) -> None:
    """Let what is held for a receiver go again."""
    session.connection().execute(delete(table_of(ReceiverHoldRow)).where(col(ReceiverHoldRow.receiver) == receiver))
    _move(session, receiver, DeliveryState.HELD, DeliveryState.PENDING)


def is_held(session: Session, receiver: str, fingerprint: str) -> bool:
    """True when the receiver said 410 to this very configuration: what waits is held. A changed one is released."""
    row = session.get(ReceiverHoldRow, receiver)
    if row is None:
        return False
    if row.fingerprint == fingerprint:
        _move(session, receiver, DeliveryState.PENDING, DeliveryState.HELD)
        return True
    release(session, receiver)
    return False


def _each_alert_in_order(rows: Sequence[DeliveryRow]) -> list[DeliveryRow]:
    """The same rows, those of an alert in order of sequence: their wall times may have stepped back."""
    by_alert: dict[str | None, list[DeliveryRow]] = {}
    for row in rows:
        by_alert.setdefault(row.alert_id, []).append(row)
    for alert_id, own in by_alert.items():
        if alert_id is not None:
            own.sort(key=lambda row: row.sequence)
    queues = {alert_id: iter(own) for alert_id, own in by_alert.items()}
    return [next(queues[row.alert_id]) for row in rows]


def _members(session: Session, digests: Sequence[str]) -> dict[str, tuple[tuple[str, int], ...]]:
    """Alert and sequence of each message in these digests."""
    found: dict[str, tuple[tuple[str, int], ...]] = {}
    for start in range(0, len(digests), 500):
        some = digests[start : start + 500]
        rows = session.exec(
            select(DeliveryRow.digest_id, DeliveryRow.alert_id, DeliveryRow.sequence).where(
                col(DeliveryRow.digest_id).in_(some)
            )
        )
        for digest_id, alert_id, sequence in rows:
            if digest_id is not None and alert_id is not None:
                found[digest_id] = (*found.get(digest_id, ()), (alert_id, sequence))
    return found


def _text(notice: Notice, texts: Mapping[int, str], offset_s: float) -> str:
    alert = notice.transition.alert
    return texts.get(id(alert)) or encode_alert(alert, offset_s)


def _revive(session: Session, *where: Any) -> Replayed:
    fates = [DeliveryState.DEAD.value, DeliveryState.HELD.value]
    matching = (*where, col(DeliveryRow.state).in_(fates))
    receivers = list(session.exec(select(DeliveryRow.receiver).where(*matching).distinct()))
    result = session.connection().execute(
        update(table_of(DeliveryRow))
        .where(*matching)
        .values(state="pending", attempts=0, first_at=None, next_at=None, finished_at=None)
    )
    for receiver in receivers:
        release(session, receiver)
    return Replayed(receivers, result.rowcount)


def _move(session: Session, receiver: str, source: DeliveryState, target: DeliveryState) -> None:
    table = table_of(DeliveryRow)
    where = (table.c.receiver == receiver, table.c.state == source.value)
    session.connection().execute(update(table).where(*where).values(state=target.value))
