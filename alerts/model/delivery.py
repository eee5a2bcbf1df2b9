"""A notice of a transition, its delivery to one receiver, and the attempts of that delivery."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import NAMESPACE_URL, uuid5

from alerts.model.alert import Transition

JSON = "application/json"


Span = tuple[int, int]
"""The first and the last sequence of an alert in a message."""

Place = tuple[datetime, str]
"""Where a delivery is in the queue of its receiver: when it was created, and its id."""

BEGINNING: Place = datetime.min.replace(tzinfo=UTC), ""
END: Place = datetime.max.replace(tzinfo=UTC), ""


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"  # given up after 72 h; can be replayed
    HELD = "held"  # its receiver answered 410 Gone; sent once the receiver is released
    DIGESTED = "digested"  # sent within a digest, which is a delivery of its own
    SPLIT = "split"  # a digest that was refused and is sent in parts, each a delivery of its own


@dataclass(frozen=True, slots=True)
class Notice:
    """A transition for its receivers, with the labels and names at the time of the decision.

    `name` is what people call its subject, `metric_label` the symbol of its level; None where there is none.
    """

    transition: Transition
    labels: Mapping[str, str]
    summary: str
    persisted: bool = True
    sample_to_decision_ms: float | None = None
    receivers: tuple[str, ...] = ()
    name: str | None = None
    metric_label: str | None = None
    document: str = ""  # the content of its messages, as JSON; empty until it is built

    @property
    def alert_id(self) -> str:
        """The id of the alert; every alert that has had a transition has one."""
        found = self.transition.alert.id
        if found is None:
            raise ValueError(f"a transition of {self.transition.alert.rule} has an alert without an id")
        return found


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one receiver. `id` is its webhook-id, the same over all attempts.

    `document` is that of its transition, empty where there is none. `body` is what all attempts send, in the format
    of the receiver; empty until the first.
    """

    id: str
    receiver: str
    type: str
    created_at: datetime
    body: bytes
    alert_id: str | None = None  # None for digest, heartbeat and test
    sequence: int = 0
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    first_at: datetime | None = None  # the first attempt; 72 h are counted from here
    next_at: datetime | None = None  # when it is due; None at once
    finished_at: datetime | None = None
    digest_id: str | None = None
    members: tuple[tuple[str, int], ...] = ()  # of a digest: alert id and sequence of each message in it
    document: str = ""
    content_type: str = JSON

    @property
    def alerts(self) -> dict[str, Span]:
        """The alerts in the message, each with its first and last sequence there."""
        if self.alert_id is not None:
            return {self.alert_id: (self.sequence, self.sequence)}
        sequences: dict[str, list[int]] = {}
        for alert_id, sequence in self.members:
            sequences.setdefault(alert_id, []).append(sequence)
        return {alert_id: (min(own), max(own)) for alert_id, own in sequences.items()}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST of a delivery and its result."""

    delivery_id: str
    number: int
    at: datetime
    duration_s: float
    status: int | None = None
    error: str | None = None
    answer: str | None = None  # the first 300 characters of the receiver's response


def delivery_id(alert_id: str, sequence: int, receiver: str) -> str:
    """The webhook-id, derived from transition and receiver: it is the same whether or not it was stored."""
    return str(uuid5(NAMESPACE_URL, f"{alert_id}\n{sequence}\n{receiver}"))


def deliveries_of(notice: Notice) -> list[Delivery]:
    """One delivery of the notice for each of its receivers, with its document."""
    alert_id, transition = notice.alert_id, notice.transition
    sequence, type_ = transition.alert.sequence, str(transition.type)
    return [
        Delivery(
            delivery_id(alert_id, sequence, name),
            name,
            type_,
            transition.at,
            b"",
            alert_id,
            sequence,
            document=notice.document,
        )
        for name in notice.receivers
    ]
