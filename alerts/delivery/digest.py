"""Digests: many messages as one, and one that was refused in parts again. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from alerts.delivery.message import render_digest
from alerts.model.delivery import Delivery, DeliveryState

MOST_ITEMS = 50
MOST_BYTES = 20_000
"""What a digest holds at most; a message that is longer by itself goes by itself."""

_SUMMARY_BYTES = 500  # at most: a count of each type


def digest_room(hub: str) -> int:
    """Bytes that a digest has for its messages and the commas between them."""
    frame = render_digest(str(UUID(int=0)), datetime.max.replace(tzinfo=UTC), [], hub)
    return MOST_BYTES - len(frame) - _SUMMARY_BYTES


def digest_of(members: Sequence[Delivery], at: datetime, hub: str) -> Delivery:
    """Its id follows from its members: made again of the same, it is the same message."""
    id_ = str(uuid5(NAMESPACE_URL, "\n".join(member.id for member in members)))
    body = render_digest(id_, at, [member.body for member in members], hub)
    known = tuple((member.alert_id, member.sequence) for member in members if member.alert_id is not None)
    return Delivery(id_, members[0].receiver, "digest", at, body, members=known)


def digested(members: Sequence[Delivery], digest: Delivery, at: datetime) -> list[Delivery]:
    """The members, marked as told by the digest, and the digest."""
    state = DeliveryState.DIGESTED
    return [*(replace(one, state=state, digest_id=digest.id, finished_at=at) for one in members), digest]


def split(digest: Delivery, members: Sequence[Delivery], at: datetime, hub: str) -> tuple[list[Delivery], ...]:
    """The two halves of a digest, to be sent in its place, and all that has to be marked for it.

    A half of one message is that message, as if it had been tried with the digest: it gathers in no other one.
    """
    parts, marks = [], [replace(digest, state=DeliveryState.SPLIT, next_at=None, finished_at=at)]
    middle = (len(members) + 1) // 2
    for half in (members[:middle], members[middle:]):
        if len(half) > 1:
            parts.append(digest_of(half, digest.created_at, hub))
            marks += digested(half, parts[-1], at)
        elif half:
            attempts = max(1, digest.attempts)
            pending = DeliveryState.PENDING
            parts.append(
                replace(half[0], state=pending, attempts=attempts, digest_id=None, next_at=None, finished_at=None)
            )
            marks.append(parts[-1])
    return parts, marks
