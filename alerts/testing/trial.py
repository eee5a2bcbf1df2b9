"""Sends one message of type `test` to a receiver, without storing it."""

from typing import NamedTuple
from uuid import uuid4

from alerts.config.rule import Receiver
from alerts.delivery.answers import Delivered, advice
from alerts.delivery.formats import FORMATS
from alerts.delivery.message import plain_document
from alerts.delivery.webhook import Webhook
from alerts.model.clock import SystemClock
from alerts.model.delivery import Delivery


class Trial(NamedTuple):
    """What the receiver answered, in words."""

    is_delivered: bool
    text: str


async def send_test(receiver: Receiver, hub: str, version: str) -> Trial:
    """POST one test message, signed as the receiver is configured."""
    clock, id_ = SystemClock(), str(uuid4())
    at = clock.now()
    document = plain_document("test", id_, at, f"test message of {hub}", hub)
    body = FORMATS[receiver.format].render(document)
    delivery = Delivery(id_, receiver.name, "test", at, body.content, content_type=body.content_type)
    began_s = clock.time()
    async with Webhook(receiver, version) as webhook:
        outcome = await webhook.post(delivery, at)
    took = f"{(clock.time() - began_s) * 1000:.0f} ms"
    response = "" if outcome.answer is None else f"\nits response: {outcome.answer}"
    if isinstance(outcome, Delivered):
        return Trial(True, f"{receiver.name} accepted it: {outcome.status} in {took}{response}")
    result = f"{receiver.name} did not accept it: {outcome.error} after {took}{response}"
    return Trial(False, f"{result}\n{advice(outcome.status)}")
