from hypothesis import given
from hypothesis import strategies as st

from alerts.delivery.alert_order import AlertOrder, in_order
from alerts.model.delivery import Delivery
from tests.alerts.fakes import START


def test_the_oldest_of_each_alert_goes_first_however_they_came() -> None:
    order = AlertOrder()
    order.add("second", {"a": (2, 2)})
    order.add("first", {"a": (1, 1)})
    assert order.is_oldest("first", {"a": (1, 1)})
    assert not order.is_oldest("second", {"a": (2, 2)})
    assert order.before("second", {"a": (2, 2)}) == ["first"]
    assert order.remove("first", {"a": (1, 1)}) == ["second"]
    assert order.remove("second", {"a": (2, 2)}) == []
    assert not order.has("a", 2)


def test_a_digest_is_a_message_of_each_of_its_alerts() -> None:
    order, spans = AlertOrder(), {"a": (1, 2), "b": (5, 5)}
    order.add("digest", spans)
    order.add("a3", {"a": (3, 3)})
    order.add("b4", {"b": (4, 4)})
    assert not order.is_oldest("digest", spans)
    assert order.has("a", 1)
    assert order.has("a", 2)
    assert order.before("digest", spans) == ["b4"]
    assert order.remove("b4", {"b": (4, 4)}) == ["digest"]
    assert order.is_oldest("digest", spans)
    assert order.remove("digest", spans) == ["a3"]


def test_a_message_about_no_alert_waits_for_none() -> None:
    order = AlertOrder()
    order.add("test", {})
    assert order.is_oldest("test", {})
    assert order.remove("test", {}) == []


@given(sequences=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), unique=True), digest=st.booleans())
def test_each_delivery_comes_after_the_earlier_ones_of_its_alerts_and_else_where_it_was(
    sequences: list[tuple[int, int]], digest: bool
) -> None:
    given_ = [Delivery(f"{a}-{n}", "ops", "x", START, b"", f"a{a}", n) for a, n in sequences]
    if digest:
        given_.append(
            Delivery("digest", "ops", "digest", START, b"", members=tuple((f"a{a}", 0) for a in range(4)))
        )
    found = list(in_order(given_))
    assert sorted(one.id for one in found) == sorted(one.id for one in given_)
    for place, one in enumerate(found):
        for later in found[place + 1 :]:
            assert all(span < later.alerts.get(alert_id, (99, 99)) for alert_id, span in one.alerts.items())
    if not digest and sequences == sorted(sequences, key=lambda pair: pair[1]):
        assert found == given_
