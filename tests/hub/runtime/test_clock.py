import time
from threading import Thread

import pytest

from hub.runtime import clock
from hub.runtime.clock import STANDSTILL_S, Clock


class Elapsed:
    """The machine's counter, set by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Elapsed:
    counter = Elapsed()
    monkeypatch.setattr(clock, "_elapsed_s", counter)
    return counter


def test_a_clock_that_is_read_all_the_time_never_stood_still(elapsed: Elapsed) -> None:
    own = Clock()
    for _ in range(100):
        elapsed.seconds += STANDSTILL_S / 2
        own.steady()
    assert own.resumed_s == float("-inf")


def test_the_first_to_read_after_a_standstill_notices(elapsed: Elapsed) -> None:
    own = Clock()
    began_s = own.steady()
    elapsed.seconds += 45.0
    assert own.steady() == own.resumed_s == began_s + 45.0
    elapsed.seconds += 1.0
    own.steady()
    assert own.resumed_s == began_s + 45.0


def test_a_thread_that_runs_on_does_not_hide_that_the_loop_was_held_up(elapsed: Elapsed) -> None:
    own = Clock()
    for _ in range(10):
        elapsed.seconds += 1.0
        thread = Thread(target=own.steady)
        thread.start()
        thread.join()
    assert own.resumed_s == float("-inf")
    assert own.steady() == own.resumed_s


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux has a clock that counts suspended time")
def test_the_steady_clock_counts_the_time_a_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    before = own.steady() - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert own.steady() - time.clock_gettime(time.CLOCK_BOOTTIME) == pytest.approx(before, abs=1.0)
