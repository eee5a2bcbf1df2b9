"""The tables of alerting: alerts, alert states, transitions, deliveries, attempts, held receivers."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel


class AlertRow(SQLModel, table=True):
    """One alert from its onset on, open or past. `value`, `threshold`, `peak` are JSON, so a type survives."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_started", "started_at", "id"),
        Index("ix_alerts_subject", "subject", "started_at"),
        Index("ix_alerts_rule", "rule", "started_at"),
        Index("ix_alerts_state", "state", "started_at"),
        Index("ix_alerts_cleared", "cleared_at"),
    )

    id: str = Field(primary_key=True, max_length=36)
    rule: str
    subject: str
    rule_hash: str
    metric: str
    state: str
    severity: str
    value: str
    threshold: str
    peak: str
    started_at: datetime
    cleared_at: datetime | None = None
    reason: str | None = None
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    comment: str | None = None
    sequence: int
    labels: str = Field(default="{}", sa_column=Column(Text, nullable=False))  # JSON object
    name: str | None = None  # what people called the subject then
    metric_label: str | None = None  # the symbol of the level then


class AlertStateRow(SQLModel, table=True):
    """The current alert of a rule on a subject with its timers and cooldown; a restart continues from it."""

    __tablename__ = "alert_states"

    rule: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    alert: str = Field(sa_column=Column(Text, nullable=False))  # JSON; its times in epoch seconds


class TransitionRow(SQLModel, table=True):
    """A change of an alert, with the alert as it stood after it."""

    __tablename__ = "transitions"

    alert_id: str = Field(primary_key=True, max_length=36)
    sequence: int = Field(primary_key=True)
    type: str
    at: datetime
    alert: str = Field(sa_column=Column(Text, nullable=False))  # JSON
    labels: str = Field(sa_column=Column(Text, nullable=False))  # JSON object
    summary: str = Field(sa_column=Column(Text, nullable=False))
    persisted: bool = True  # False: it was announced before it could be stored
    sample_to_decision_ms: float | None = None
    name: str | None = None
    metric_label: str | None = None
    document: str | None = Field(default=None, sa_column=Column(Text))  # JSON; None where it is not needed any more


class DeliveryRow(SQLModel, table=True):
    """One message to one receiver; `id` is its webhook-id."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_receiver", "receiver", "state", "created_at"),
        Index("ix_deliveries_state", "state", "created_at"),
        Index("ix_deliveries_created", "created_at", "id"),
        Index("ix_deliveries_alert", "alert_id", "sequence"),
    )

    id: str = Field(primary_key=True, max_length=36)
    receiver: str
    type: str
    created_at: datetime
    alert_id: str | None = Field(default=None, max_length=36)
    sequence: int = 0
    state: str = "pending"
    attempts: int = 0
    first_at: datetime | None = None
    next_at: datetime | None = None
    finished_at: datetime | None = None
    digest_id: str | None = Field(default=None, max_length=36)
    body: str | None = Field(default=None, sa_column=Column(Text))  # None until it is first sent
    content_type: str | None = None


class AttemptRow(SQLModel, table=True):
    """One POST of a delivery."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_delivery", "delivery_id", "at"),)

    id: int | None = Field(default=None, primary_key=True)
    delivery_id: str = Field(max_length=36)
    number: int
    at: datetime
    duration_s: float
    status: int | None = None
    error: str | None = None
    answer: str | None = None  # the first 300 characters of the receiver's response


class ReceiverHoldRow(SQLModel, table=True):
    """A receiver that answered 410 Gone, with the fingerprint of its configuration at that time."""

    __tablename__ = "receiver_holds"

    receiver: str = Field(primary_key=True)
    fingerprint: str
    at: datetime
