"""A delivery as an attempt leaves it: pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from alerts.delivery.answers import Delivered, Outcome
from alerts.model.delivery import Attempt, Delivery, DeliveryState


def attempt_of(delivery: Delivery, outcome: Outcome, at: datetime, duration_s: float) -> Attempt:
    """The record of one POST."""
    error = None if isinstance(outcome, Delivered) else outcome.error
    return Attempt(delivery.id, delivery.attempts + 1, at, duration_s, outcome.status, error, outcome.answer)


def finished(delivery: Delivery, attempt: Attempt, state: DeliveryState, now: datetime) -> Delivery:
    """It is delivered or dead."""
    return replace(_tried(delivery, attempt), state=state, next_at=None, finished_at=now)


def put_off(delivery: Delivery, attempt: Attempt, now: datetime, delay_s: float, is_held: bool) -> Delivery:
    """It is tried again, unless its receiver has said 410 meanwhile."""
    state = DeliveryState.HELD if is_held else DeliveryState.PENDING
    return replace(_tried(delivery, attempt), state=state, next_at=now + timedelta(seconds=delay_s))


def held(delivery: Delivery, attempt: Attempt) -> Delivery:
    """Its receiver said 410 to it."""
    return replace(_tried(delivery, attempt), state=DeliveryState.HELD)


def _tried(delivery: Delivery, attempt: Attempt) -> Delivery:
    return replace(delivery, attempts=attempt.number, first_at=delivery.first_at or attempt.at)
