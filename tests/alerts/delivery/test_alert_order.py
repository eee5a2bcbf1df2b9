from alerts.delivery.alert_order import AlertOrder


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
