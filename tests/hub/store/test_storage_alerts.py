"""One alert for each cause."""

import pytest

from hub.store.storage_alerts import StorageAlerts


class Reports:
    """The alerts that were reported, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.reports: list[tuple[str, str | None]] = []
        self.alerts = StorageAlerts(lambda part, reason: self.reports.append((part, reason)))

    def after(self, seconds: float, **failing: str) -> list[tuple[str, str | None]]:
        self.now_s += seconds
        self.alerts.update(failing, self.now_s)
        reports, self.reports = self.reports, []
        return reports


def test_a_full_disk_is_one_alert_that_ends_once_everything_works() -> None:
    storage, full = Reports(), "disk full"
    assert storage.after(0, readings=full) == [("readings", full)]
    assert storage.after(2, readings=full, transitions=full) == []
    assert storage.after(30, readings=full, transitions=full, deliveries=full, commits=full) == []
    assert storage.after(1, deliveries=full) == []
    assert storage.after(1) == [("readings", None)]


@pytest.mark.parametrize("first", ["transitions", "deliveries", "commits"])
def test_a_cause_is_told_once_whoever_feels_it_first(first: str) -> None:
    storage = Reports()
    assert storage.after(0, **{first: "locked"}) == [(first, "locked")]
    assert storage.after(60, **{first: "locked", "readings": "locked"}) == []
    assert storage.after(60, readings="locked") == []
    assert storage.after(1) == [(first, None)]


def test_parts_of_one_outage_may_name_it_differently() -> None:
    storage = Reports()
    assert storage.after(0, readings="unreachable") == [("readings", "unreachable")]
    assert storage.after(40, readings="unreachable", deliveries="too slow") == []
    assert storage.after(1, readings="too many connections", deliveries="too slow") == [
        ("readings", "too many connections")
    ]


def test_another_cause_later_is_another_alert() -> None:
    storage = Reports()
    assert storage.after(0, deliveries="damaged") == [("deliveries", "damaged")]
    assert storage.after(60, deliveries="damaged", transitions="disk full") == [("transitions", "disk full")]
    assert storage.after(60, deliveries="damaged") == [("transitions", None)]
    assert storage.after(1) == [("deliveries", None)]


def test_an_outage_of_everything_is_told_beside_a_part_that_failed_before_for_its_own_reason() -> None:
    storage = Reports()
    storage.after(0, deliveries="damaged")
    assert storage.after(60, deliveries="damaged", readings="disk full") == [("readings", "disk full")]
    assert storage.after(60, deliveries="damaged") == [("readings", None)]


def test_what_outlasts_an_outage_keeps_its_alert_open_and_gives_the_reason() -> None:
    storage = Reports()
    storage.after(0, readings="disk full")
    storage.after(5, readings="disk full", deliveries="damaged")
    assert storage.after(5, deliveries="damaged") == [("readings", "damaged")]


def test_what_is_noticed_of_an_outage_only_after_it_is_not_told() -> None:
    storage = Reports()
    storage.after(0, readings="disk full")
    storage.after(2)
    assert storage.after(2, deliveries="disk full") == []
    assert storage.after(5) == []
    assert storage.after(1, deliveries="damaged") == []
    assert storage.after(10, deliveries="damaged") == [("deliveries", "damaged")]


def test_an_outage_right_after_another_is_told_at_once() -> None:
    storage = Reports()
    storage.after(0, readings="disk full")
    storage.after(2)
    assert storage.after(1, readings="disk full") == [("readings", "disk full")]


def test_what_an_earlier_process_told_is_ended_at_the_start() -> None:
    storage = Reports()
    storage.alerts.clear(["readings", "file"])
    assert storage.reports == [("readings", None), ("file", None)]
