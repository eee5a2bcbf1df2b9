"""The hub's own format, compared with bodies that were recorded of version 1."""

from pathlib import Path

import pytest

from alerts.delivery.formats.format import Body
from alerts.delivery.formats.hub import FORMAT
from alerts.delivery.message import documented, plain_document, with_commit_time
from alerts.model.delivery import Notice
from alerts.model.document import Document, Origin, decode
from tests.alerts.delivery.formats.examples import HUB, NOTICES
from tests.alerts.fakes import START

BODIES = (Path(__file__).parent / "hub_bodies.jsonl").read_bytes().splitlines()
OF_NOTICES, OF_DIGESTS, OF_TEST = BODIES[:-3], BODIES[-3:-1], BODIES[-1]


def document_of(notice: Notice, taken_ms: float | None) -> Document:
    made = documented(notice, Origin(HUB, "Asia/Taipei", "https://hub.example.org")).document
    return decode(made if taken_ms is None else with_commit_time(made, taken_ms))


DOCUMENTS = [document_of(*example) for example in NOTICES]


@pytest.mark.parametrize(("document", "body"), list(zip(DOCUMENTS, OF_NOTICES, strict=True)))
def test_a_message_is_the_same_to_the_byte(document: Document, body: bytes) -> None:
    assert FORMAT.render(document) == Body(body, "application/json")


@pytest.mark.parametrize(
    ("number", "count", "summary"),
    [
        (1, 4, "4 messages: 1 onset, 1 level, 1 ack, 1 unack"),
        (2, 9, "9 messages: 4 onset, 1 level, 1 ack, 1 unack, 1 clear, 1 no_data"),
    ],
)
def test_a_digest_is_the_same_to_the_byte(number: int, count: int, summary: str) -> None:
    head = plain_document("digest", f"0f9d9f5e-37a5-5e0b-8d52-0d5a8f3b6a0{number}", START, summary, HUB)
    assert FORMAT.render_digest(head, DOCUMENTS[:count]) == Body(OF_DIGESTS[number - 1])


def test_a_test_message_is_the_same_to_the_byte() -> None:
    id_ = "5d2f5f8e-0c0e-4a55-9a53-2f4f3d0a7c11"
    assert FORMAT.render(plain_document("test", id_, START, f"test message of {HUB}", HUB)) == Body(OF_TEST)
