"""Reads the queue of one receiver: its pending deliveries, oldest first, and the members of a digest."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import tuple_
from sqlmodel import Session, col, select

from alerts.model.delivery import BEGINNING, JSON, Delivery, DeliveryState, Place
from alerts.store.statements import in_parts
from alerts.store.tables import DeliveryRow, TransitionRow

Members = tuple[tuple[str, int], ...]


class Page(NamedTuple):
    """Some deliveries of the queue, up to the place `reached`; None at its end."""

    deliveries: list[Delivery]
    reached: Place | None


def read_pending(session: Session, receiver: str, after: Place = BEGINNING, limit: int = 1000) -> Page:
    """The `limit` oldest pending deliveries after a place, and with them the earlier ones of their alerts.

    The earlier ones may be at later places: the wall clock steps back, and a digest is created after the messages
    in it.
    """
    place = col(DeliveryRow.created_at), col(DeliveryRow.id)
    query = select(DeliveryRow).where(
        DeliveryRow.receiver == receiver, DeliveryRow.state == DeliveryState.PENDING.value
    )
    if after > BEGINNING:
        query = query.where(tuple_(*place) > tuple_(*after))
    rows = session.exec(query.order_by(*place).limit(limit)).all()
    reached = (rows[-1].created_at, rows[-1].id) if len(rows) == limit else None
    members = _members(session, rows)
    found = _each_alert_in_order(rows)
    if reached is not None:
        found += _earlier(session, receiver, rows, members)
    return Page([replace(one, members=members.get(one.id, ())) for one in _deliveries(session, found)], reached)


def read_members(session: Session, digest_id: str) -> list[Delivery]:
    """The deliveries that a digest combines, oldest first."""
    oldest_first = col(DeliveryRow.created_at), col(DeliveryRow.alert_id), col(DeliveryRow.sequence)
    rows = session.exec(select(DeliveryRow).where(DeliveryRow.digest_id == digest_id).order_by(*oldest_first))
    return list(_deliveries(session, _each_alert_in_order(rows.all())))


def _deliveries(session: Session, rows: Sequence[DeliveryRow]) -> Iterator[Delivery]:
    """The deliveries of rows; marks a row dead of which neither the body nor the transition is stored."""
    documents: dict[tuple[str | None, int], str | None] = {}
    key = col(TransitionRow.alert_id), col(TransitionRow.sequence)
    for some in in_parts([(row.alert_id, row.sequence) for row in rows if row.alert_id is not None]):
        found = session.exec(select(*key, col(TransitionRow.document)).where(tuple_(*key).in_(some)))
        documents |= {(alert_id, sequence): document for alert_id, sequence, document in found}
    for row in rows:
        document = documents.get((row.alert_id, row.sequence))
        if row.body is None and document is None:
            row.state = DeliveryState.DEAD.value
            session.add(row)
        else:
            yield _delivery(row, document)


def _delivery(row: DeliveryRow, document: str | None) -> Delivery:
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


def _earlier(
    session: Session, receiver: str, rows: Sequence[DeliveryRow], members: dict[str, Members]
) -> list[DeliveryRow]:
    """The other pending rows with earlier messages of these alerts, and those with earlier ones of their alerts.

    Adds to `members`, which are those of each digest.
    """
    found: dict[str, DeliveryRow] = {row.id: row for row in rows}
    last: dict[str, int] = {}  # the latest sequence of each alert that is found
    new = list(rows)
    while new:
        later: dict[str, int] = {}
        for alert_id, sequence in _messages(new, members):
            if sequence > max(last.get(alert_id, -1), later.get(alert_id, -1)):
                later[alert_id] = sequence
        last |= later
        wanted = set(_before(session, receiver, later)) - found.keys()
        new = []
        for some in in_parts(sorted(wanted)):
            pending = DeliveryRow.state == DeliveryState.PENDING.value
            new += session.exec(select(DeliveryRow).where(pending, col(DeliveryRow.id).in_(some)))
        members |= _members(session, new)
        found |= {row.id: row for row in new}
    return list(found.values())[len(rows) :]


def _before(session: Session, receiver: str, sequences: Mapping[str, int]) -> Iterator[str]:
    """The deliveries, or the digests of those, that tell of an alert before this sequence and may be pending."""
    states = [DeliveryState.PENDING.value, DeliveryState.DIGESTED.value]
    of_receiver = DeliveryRow.receiver == receiver, col(DeliveryRow.state).in_(states)
    query = select(DeliveryRow.id, DeliveryRow.digest_id, DeliveryRow.alert_id, DeliveryRow.sequence)
    for some in in_parts(list(sequences)):
        messages = session.exec(query.where(*of_receiver, col(DeliveryRow.alert_id).in_(some)))
        for id_, digest_id, alert_id, sequence in messages:
            if alert_id is not None and sequence < sequences[alert_id]:
                yield digest_id or id_


def _members(session: Session, rows: Iterable[DeliveryRow]) -> dict[str, Members]:
    """Alert and sequence of each message in the digests among these rows."""
    found: dict[str, Members] = {}
    for some in in_parts([row.id for row in rows if row.type == "digest"]):
        messages = session.exec(
            select(DeliveryRow.digest_id, DeliveryRow.alert_id, DeliveryRow.sequence).where(
                col(DeliveryRow.digest_id).in_(some)
            )
        )
        for digest_id, alert_id, sequence in messages:
            if digest_id is not None and alert_id is not None:
                found[digest_id] = (*found.get(digest_id, ()), (alert_id, sequence))
    return found


def _messages(rows: Iterable[DeliveryRow], members: Mapping[str, Members]) -> Iterator[tuple[str, int]]:
    for row in rows:
        if row.alert_id is not None:
            yield row.alert_id, row.sequence
        yield from members.get(row.id, ())


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
