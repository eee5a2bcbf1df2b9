"""Writes transitions with their deliveries in one transaction, and the results of attempts; restores both.

Every function takes a session and works inside the caller's transaction.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, update
from sqlmodel import Session, col, select

from alerts.model.alert import Alert
from alerts.model.delivery import Attempt, Delivery, DeliveryState, Notice
from alerts.store.rows import (
    ALERT_NOW,
    alert_now,
    alert_values,
    attempt_values,
    delivery_values,
    insert_rows,
    table_of,
    transition_values,
    upsert,
)
from alerts.store.statements import in_parts
from alerts.store.stored import decode_alert, encode_alert
from alerts.store.tables import AlertRow, AlertStateRow, AttemptRow, DeliveryRow, ReceiverHoldRow, TransitionRow
from alerts.store.unstorable import Refused, write_apart

_DELIVERY_RESULT = ("state", "attempts", "first_at", "next_at", "finished_at", "digest_id")
_BODY = ("body", "content_type")


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restart continues from: every stored alert, and the receivers notified of each open one."""

    alerts: list[Alert]
    notified: dict[str, set[str]]  # alert id -> receivers


class Replayed(NamedTuple):
    """The receivers whose dispatchers must read SQL again, and how many deliveries are due again."""

    receivers: list[str]
    deliveries: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What a commit writes, prepared in the event loop: a thread that competes with it slows both down."""

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
    """Store the rows; a repeat changes nothing."""
    for _, some, write_some in _writers(session, rows):
        write_some(some)


def write_those_that_can_be(session: Session, rows: Rows) -> list[Refused]:
    """Store the rows except those that every database refuses; return these."""
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


def restore(session: Session, offset_s: float) -> Restored:
    """Every alert, its timers on this process's steady clock, and the receivers notified of each open one."""
    alerts = [decode_alert(row.alert, offset_s) for row in session.exec(select(AlertStateRow))]
    open_ids = [alert.id for alert in alerts if alert.is_open and alert.id is not None]
    notified: dict[str, set[str]] = {}
    for some in in_parts(open_ids):
        rows = session.exec(
            select(DeliveryRow.alert_id, DeliveryRow.receiver).where(col(DeliveryRow.alert_id).in_(some)).distinct()
        )
        for alert_id, receiver in rows:
            notified.setdefault(str(alert_id), set()).add(receiver)
    return Restored(alerts, notified)


def record(session: Session, deliveries: Sequence[Delivery], attempts: Sequence[Attempt]) -> None:
    """Store the state of deliveries, and their attempts. Inserts a delivery that was sent before it was stored."""
    for _, rows, write_rows in _recorders(session, deliveries, attempts):
        write_rows(rows)


def record_those_that_can_be(
    session: Session, deliveries: Sequence[Delivery], attempts: Sequence[Attempt]
) -> list[Refused]:
    """Do the same except for rows that every database refuses; return these."""
    return [
        Refused(table, row, reason)
        for table, rows, write_rows in _recorders(session, deliveries, attempts)
        for row, reason in write_apart(session, rows, write_rows)
    ]


def _recorders(
    session: Session, deliveries: Sequence[Delivery], attempts: Sequence[Attempt]
) -> Iterator[tuple[str, _Values, Callable[[_Values], None]]]:
    delivery_rows = [delivery_values(delivery) for delivery in deliveries]
    yield (
        "deliveries",
        delivery_rows,
        lambda rows: upsert(session, DeliveryRow, rows, update=_DELIVERY_RESULT, fill=_BODY),
    )
    attempt_rows = [attempt_values(attempt) for attempt in attempts]
    yield "attempts", attempt_rows, lambda rows: insert_rows(session, table_of(AttemptRow), rows)


def replay(session: Session, ids: Sequence[str]) -> Replayed:
    """Make dead or held deliveries due again, with the same id and body."""
    return _make_due(session, col(DeliveryRow.id).in_(ids))


def replay_between(session: Session, since: datetime, until: datetime, receiver: str | None = None) -> Replayed:
    """Replay all dead or held deliveries created in `since <= t < until`."""
    where = [col(DeliveryRow.created_at) >= since, col(DeliveryRow.created_at) < until]
    return _make_due(session, *where, *([] if receiver is None else [col(DeliveryRow.receiver) == receiver]))


def hold(session: Session, receiver: str, fingerprint: str, at: datetime) -> None:
    """Hold the pending deliveries of a receiver that answered 410 Gone, until `release`."""
    upsert(session, ReceiverHoldRow, [{"receiver": receiver, "fingerprint": fingerprint, "at": at}])
    _move(session, receiver, DeliveryState.PENDING, DeliveryState.HELD)


def release(session: Session, receiver: str) -> None:
    """Make the held deliveries of a receiver pending again."""
    session.connection().execute(delete(table_of(ReceiverHoldRow)).where(col(ReceiverHoldRow.receiver) == receiver))
    _move(session, receiver, DeliveryState.HELD, DeliveryState.PENDING)


def is_held(session: Session, receiver: str, fingerprint: str) -> bool:
    """Hold again, and return True, if the receiver answered 410 to this configuration; else release it."""
    row = session.get(ReceiverHoldRow, receiver)
    if row is None:
        return False
    if row.fingerprint == fingerprint:
        _move(session, receiver, DeliveryState.PENDING, DeliveryState.HELD)
        return True
    release(session, receiver)
    return False


def _text(notice: Notice, texts: Mapping[int, str], offset_s: float) -> str:
    alert = notice.transition.alert
    return texts.get(id(alert)) or encode_alert(alert, offset_s)


def _make_due(session: Session, *where: Any) -> Replayed:
    states = [DeliveryState.DEAD.value, DeliveryState.HELD.value]
    matching = (*where, col(DeliveryRow.state).in_(states))
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
