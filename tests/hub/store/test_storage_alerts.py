"""One alert for each cause."""

import pytest

from hub.store.storage_alerts import StorageAlerts


class Heard:
    """What was told, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.told: list[tuple[str, str | None]] = []
        self.alerts = StorageAlerts(lambda part, reason: self.told.append((part, reason)))

    def after(self, seconds: float, **failing: str) -> list[tuple[str, str | None]]:
        self.now_s += seconds
        self.alerts.update(failing, self.now_s)
        told, self.told = self.told, []
        return told


def test_a_full_disk_is_one_alert_that_ends_once_everything_works() -> None:
    heard, full = Heard(), "disk full"
    assert heard.after(0, readings=full) == [("readings", full)]
    assert heard.after(2, readings=full, transitions=full) == []
    assert heard.after(30, readings=full, transitions=full, deliveries=full, commits=full) == []
    assert heard.after(1, deliveries=full) == []
    assert heard.after(1) == [("readings", None)]


@pytest.mark.parametrize("first", ["transitions", "deliveries", "commits"])
def test_a_cause_is_told_once_whoever_feels_it_first(first: str) -> None:
    heard = Heard()
    assert heard.after(0, **{first: "locked"}) == [(first, "locked")]
    assert heard.after(60, **{first: "locked", "readings": "locked"}) == []
    assert heard.after(60, readings="locked") == []
    assert heard.after(1) == [(first, None)]


def test_parts_of_one_outage_may_name_it_differently() -> None:
    heard = Heard()
    assert heard.after(0, readings="unreachable") == [("readings", "unreachable")]
    assert heard.after(40, readings="unreachable", deliveries="too slow") == []
    assert heard.after(1, readings="too many connections", deliveries="too slow") == [
        ("readings", "too many connections")
    ]


def test_another_cause_later_is_another_alert() -> None:
    heard = Heard()
    assert heard.after(0, deliveries="damaged") == [("deliveries", "damaged")]
    assert heard.after(60, deliveries="damaged", transitions="disk full") == [("transitions", "disk full")]
    assert heard.after(60, deliveries="damaged") == [("transitions", None)]
    assert heard.after(1) == [("deliveries", None)]


def test_an_outage_of_everything_is_told_beside_a_part_that_failed_before_for_its_own_reason() -> None:
    heard = Heard()
    heard.after(0, deliveries="damaged")
    assert heard.after(60, deliveries="damaged", readings="disk full") == [("readings", "disk full")]
    assert heard.after(60, deliveries="damaged") == [("readings", None)]


def test_what_outlasts_an_outage_keeps_its_alert_open_and_gives_the_reason() -> None:
    heard = Heard()
    heard.after(0, readings="disk full")
    heard.after(5, readings="disk full", deliveries="damaged")
    assert heard.after(5, deliveries="damaged") == [("readings", "damaged")]


def test_what_is_noticed_of_an_outage_only_after_it_is_not_told() -> None:
    heard = Heard()
    heard.after(0, readings="disk full")
    heard.after(2)
    assert heard.after(2, deliveries="disk full") == []
    assert heard.after(5) == []
    assert heard.after(1, deliveries="damaged") == []
    assert heard.after(10, deliveries="damaged") == [("deliveries", "damaged")]


def test_an_outage_right_after_another_is_told_at_once() -> None:
    heard = Heard()
    heard.after(0, readings="disk full")
    heard.after(2)
    assert heard.after(1, readings="disk full") == [("readings", "disk full")]


def test_what_an_earlier_process_told_is_ended_at_the_start() -> None:
    heard = Heard()
    heard.alerts.clear(["readings", "file"])
    assert heard.told == [("readings", None), ("file", None)]
