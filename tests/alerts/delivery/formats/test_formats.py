"""What holds for every channel."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import pytest

from alerts.config.rule import Receiver
from alerts.delivery.digest import digest_room
from alerts.delivery.formats import FORMATS
from alerts.delivery.message import plain_document
from alerts.model.document import Document
from tests.alerts.delivery.formats.test_hub import DOCUMENTS

PLAIN = plain_document("test", str(UUID(int=1)), datetime(2026, 3, 18, tzinfo=UTC), "a test", "site-office")


@pytest.mark.parametrize("name", FORMATS)
def test_a_receiver_can_have_every_format(name: str) -> None:
    assert Receiver(name="ops", url="https://example.org/", format=name).format == name


def test_a_receiver_can_have_no_other_format() -> None:
    with pytest.raises(ValueError, match="hub"):
        Receiver(name="ops", url="https://example.org/", format="carrier-pigeon")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("document", [*DOCUMENTS, PLAIN])
def test_a_body_is_text_and_the_same_each_time(name: str, document: Document) -> None:
    body = FORMATS[name].render(document)
    assert body == FORMATS[name].render(document)
    assert body.content.decode()
    assert "/" in body.content_type


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("documents", [[], DOCUMENTS])
def test_a_digest_of_as_much_as_it_holds_is_no_longer_than_allowed(
    name: str, documents: Sequence[Document]
) -> None:
    format_ = FORMATS[name]
    room, inside = digest_room(format_, PLAIN["hub"]), list[Document]()
    for document in documents:
        room -= len(format_.render(document).content) + 1
        if room >= 0:
            inside.append(document)
    assert len(inside) <= format_.digest_items
    assert len(format_.render_digest(PLAIN, inside).content) <= format_.digest_bytes
