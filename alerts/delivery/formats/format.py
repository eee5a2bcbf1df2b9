"""What a channel is: how its messages and digests are written, and how much a digest of it holds. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from alerts.model.delivery import JSON
from alerts.model.document import Document


class Body(NamedTuple):
    """What is POSTed, and its `content-type`. Text in UTF-8."""

    content: bytes
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class Format:
    """A channel. The same document gives the same bytes, so that a repeat after a crash is the same message.

    `render` writes one message; where the document has no `alert` it is a test or a heartbeat: its summary.
    `render_digest` writes many messages, oldest first, under a document of type `digest` that counts them.
    """

    render: Callable[[Document], Body]
    render_digest: Callable[[Document, Sequence[Document]], Body]
    digest_items: int = 50
    digest_bytes: int = 20_000
