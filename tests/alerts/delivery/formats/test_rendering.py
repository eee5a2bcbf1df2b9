from dataclasses import replace

from alerts.delivery.formats.format import Body, Format
from alerts.delivery.formats.hub import FORMAT as HUB
from alerts.delivery.formats.rendering import rendered, size_in_digest
from alerts.model.delivery import deliveries_of
from tests.alerts.delivery.test_dispatcher import notice

(DELIVERY,) = deliveries_of(notice())
PLAIN = Format(
    lambda document: Body(document["summary"].encode(), "text/plain"),
    lambda head, documents: Body(head["summary"].encode(), "text/plain"),
)


def test_a_delivery_gets_the_body_and_the_content_type_of_a_format() -> None:
    assert rendered(DELIVERY, PLAIN) == replace(DELIVERY, body=b"said", content_type="text/plain")


def test_what_has_a_body_keeps_it_whatever_the_format_is_now() -> None:
    sent = rendered(DELIVERY, HUB)
    assert rendered(sent, PLAIN) == sent


def test_a_delivery_takes_its_own_body_and_a_comma_in_a_digest() -> None:
    assert size_in_digest(DELIVERY, HUB) == len(rendered(DELIVERY, HUB).body) + 1
