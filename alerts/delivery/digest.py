"""Digests: many messages as one, and one that was refused in parts again. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from alerts.delivery.alert_order import in_order
from alerts.delivery.formats.format import Format
from alerts.delivery.message import plain_document
from alerts.model.delivery import Delivery, DeliveryState
from alerts.model.document import Document, decode

_SUMMARY_BYTES = 500  # at most: a count of each type


def digest_room(format_: Format, hub: str) -> int:
    """Bytes that a digest has for its messages; a message that is longer by itself goes by itself."""
    head = plain_document("digest", str(UUID(int=0)), datetime.max.replace(tzinfo=UTC), "", hub)
    return format_.digest_bytes - len(format_.render_digest(head, []).content) - _SUMMARY_BYTES


def digest_of(members: Sequence[Delivery], hub: str, format_: Format) -> Delivery:
    """Id, time and body follow from its members, oldest first: made again of the same, it is the same message."""
    members = list(in_order(sorted(members, key=lambda member: (member.created_at, member.id))))
    at = max(member.created_at for member in members)
    id_ = str(uuid5(NAMESPACE_URL, "\n".join(member.id for member in members)))
    documents = [decode(member.document) for member in members]
    head = plain_document("digest", id_, at, _count(documents), hub)
    body = format_.render_digest(head, documents)
    known = tuple((member.alert_id, member.sequence) for member in members if member.alert_id is not None)
    return Delivery(
        id_,
        members[0].receiver,
        "digest",
        at,
        body.content,
        members=known,
        content_type=body.content_type,
    )


def digested(members: Sequence[Delivery], digest: Delivery, at: datetime) -> list[Delivery]:
    """The members, marked as told by the digest, and the digest."""
    state = DeliveryState.DIGESTED
    return [*(replace(one, state=state, digest_id=digest.id, finished_at=at) for one in members), digest]


def split(
    digest: Delivery, members: Sequence[Delivery], at: datetime, hub: str, format_: Format
) -> tuple[list[Delivery], ...]:
    """The two halves of a digest, to be sent in its place, and all that has to be marked for it.

    A half of one message is that message, as if it had been tried with the digest: it gathers in no other one.
    A message whose document no database takes goes so, too.
    """
    parts, marks = [], [replace(digest, state=DeliveryState.SPLIT, next_at=None, finished_at=at)]
    documented = [member for member in members if member.document]
    middle = (len(documented) + 1) // 2
    alone = [[member] for member in members if not member.document]
    for half in (documented[:middle], documented[middle:], *alone):
        if len(half) > 1:
            parts.append(digest_of(half, hub, format_))
            marks += digested(half, parts[-1], at)
        elif half:
            attempts = max(1, digest.attempts)
            pending = DeliveryState.PENDING
            parts.append(
                replace(half[0], state=pending, attempts=attempts, digest_id=None, next_at=None, finished_at=None)
            )
            marks.append(parts[-1])
    return parts, marks


def _count(documents: Sequence[Document]) -> str:
    """`3 messages: 2 onset, 1 clear`."""
    kinds = Counter(document["type"].removeprefix("alert.") for document in documents)
    return f"{len(documents)} messages: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
