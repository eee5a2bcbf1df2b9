"""A part of the storage fails after 2 s of failures, and works again 2 s after the last one."""

from structlog.testing import capture_logs

from hub.database.outcomes import Outcomes


class Told:
    """Outcomes on a clock that a test moves, and what they told."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.changes: list[tuple[str, str | None]] = []
        self.outcomes = Outcomes(lambda part, reason: self.changes.append((part, reason)), lambda: self.now_s)

    def fail(self, after_s: float = 0.0, source: str = "write", reason: str = "damaged") -> None:
        self.now_s += after_s
        self.outcomes.failed("deliveries", source, reason)

    def work(self, after_s: float = 0.0, source: str = "write") -> None:
        self.now_s += after_s
        self.outcomes.worked("deliveries", source)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.outcomes.settle()


def test_a_failure_of_a_moment_is_nothing() -> None:
    told = Told()
    told.fail()
    told.work(0.5)
    told.wait(5)
    assert told.changes == []


def test_a_part_that_fails_for_two_seconds_is_reported_once() -> None:
    told = Told()
    for _ in range(20):
        told.fail(0.5)
    assert told.changes == [("deliveries", "damaged")]
    assert told.outcomes.failing == {"deliveries": "damaged"}


def test_what_failed_and_was_not_tried_again_is_broken_too() -> None:
    told = Told()
    told.fail()
    told.wait(2)
    assert told.changes == [("deliveries", "damaged")]


def test_it_is_kept_again_two_seconds_after_the_last_failure() -> None:
    told = Told()
    told.fail()
    told.wait(2)
    told.work(0.5)
    told.wait(1)
    assert told.changes == [("deliveries", "damaged"), ("deliveries", None)]
    assert told.outcomes.failing == {}


def test_what_fails_every_other_time_is_broken_and_stays_so() -> None:
    told = Told()
    for _ in range(10):
        told.fail(0.5)
        told.work(0.5)
    assert told.changes == [("deliveries", "damaged")]


def test_reads_that_work_say_nothing_about_writes_that_do_not() -> None:
    told = Told()
    told.fail()
    told.wait(3)
    told.work(3, source="read")
    told.wait(3)
    assert told.outcomes.failing == {"deliveries": "damaged"}


def test_a_changed_reason_is_reported() -> None:
    told = Told()
    told.fail()
    told.fail(3)
    told.fail(1, reason="unreachable")
    assert told.changes == [("deliveries", "damaged"), ("deliveries", "unreachable")]


def test_the_last_reason_is_known_before_it_is_clear_that_it_lasts() -> None:
    told = Told()
    assert told.outcomes.last_reason("deliveries") is None
    told.fail(reason="locked")
    told.fail(0.1, reason="disk full", source="read")
    assert told.outcomes.last_reason("deliveries") == "disk full"
    told.work(0.1, source="read")
    assert told.outcomes.last_reason("deliveries") == "locked"


def test_the_log_says_once_what_fails_and_once_that_it_works_again() -> None:
    told = Told()
    with capture_logs() as lines:
        for _ in range(20):
            told.fail(0.5)
        told.work()
        told.wait(10)
    assert lines == [
        {"event": "storage is failing", "log_level": "error", "part": "deliveries", "reason": "damaged"},
        {"event": "storage works again", "log_level": "info", "part": "deliveries"},
    ]
