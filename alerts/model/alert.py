"""The current alert of a rule on a subject, and the transitions it goes through."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import NAMESPACE_URL, uuid5

from alerts.model.sample import Value, WindowBasis


class State(StrEnum):
    """The state of an alert, which is open while firing or clearing."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"


class TransitionType(StrEnum):
    """The kind of a transition; the `type` of the webhook body."""

    ONSET = "alert.onset"
    CLEAR = "alert.clear"
    LEVEL = "alert.level"
    ACK = "alert.ack"
    UNACK = "alert.unack"
    NO_DATA = "alert.no_data"


@dataclass(frozen=True, slots=True)
class Alert:
    """The current alert of a rule on a subject. Times ending in `_s` are the sample's steady clock, seconds."""

    rule: str
    subject: str
    rule_hash: str
    metric: str
    state: State = State.INACTIVE
    id: str | None = None  # set at onset, see `alert_id`
    severity: str = "warning"
    value: Value = None  # last value that decided
    threshold: Value = None
    peak: Value = None  # max for `above`, min for `below`, over the alert's life
    started_at: datetime | None = None  # the onset
    cleared_at: datetime | None = None
    reason: str | None = None  # why it is pending, fired or cleared, unless the value shows it
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    comment: str | None = None
    sequence: int = 0  # transitions so far of this id
    last_value_s: float | None = None  # the newest sample whose value decided; kept while not inactive
    unbroken_until_s: float | None = None  # a value after this follows a gap
    pending_since_s: float | None = None
    clearing_since_s: float | None = None
    level_since_s: tuple[float | None, ...] = ()  # the same for each of `levels` above the first
    cooldown_until_s: float | None = None
    started_s: float | None = None  # the onset
    cleared_s: float | None = None
    window: WindowBasis | None = None  # what `value` was made of, where it is one over a window of time

    @property
    def lasted(self) -> float | None:
        """Seconds from the onset to the clear by the steady clock, whatever the wall clock did meanwhile."""
        if self.started_s is None or self.cleared_s is None:
            return None
        return max(0.0, self.cleared_s - self.started_s)

    @property
    def is_open(self) -> bool:
        """True while firing or clearing."""
        return self.state in (State.FIRING, State.CLEARING)


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of an alert that receivers are notified of, with the alert after the change."""

    type: TransitionType
    at: datetime
    alert: Alert
    sample_time_s: float  # steady clock of the sample that caused it
    decided_s: float  # steady clock when the engine decided


def alert_id(rule: str, subject: str, started_at: datetime) -> str:
    """The id of an alert, derived from its onset: it is the same whether or not the alert was stored."""
    return str(uuid5(NAMESPACE_URL, f"{rule}\n{subject}\n{started_at.isoformat()}"))
