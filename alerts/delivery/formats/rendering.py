"""A delivery in the format of its receiver. Pure."""

from dataclasses import replace

from alerts.delivery.formats.format import Format
from alerts.model.delivery import Delivery
from alerts.model.document import decode


def rendered(delivery: Delivery, format_: Format) -> Delivery:
    """The delivery with its body; one that has a body keeps it, whatever format its receiver has now."""
    if delivery.body:
        return delivery
    body = format_.render(decode(delivery.document))
    return replace(delivery, body=body.content, content_type=body.content_type)


def size_in_digest(delivery: Delivery, format_: Format) -> int:
    """Bytes that a delivery takes in a digest: its own body, and what parts it from the next."""
    return len(format_.render(decode(delivery.document)).content) + 1
