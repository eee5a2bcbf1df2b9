import pytest

from hub.oracle.admission import LaneBusy
from hub.oracle.breaker import Breaker, BreakerState, is_lost
from hub.oracle.connection import DeadlineExceeded, OracleError, OracleRejected, OracleUnavailable

LOST = OracleUnavailable("DPY-6005", "cannot connect")
REJECTED = OracleRejected("ORA-00942", "no such view")


class Hands:
    """A clock that moves by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def talk(breaker: Breaker, error: BaseException | None = None) -> None:
    with breaker.guard():
        if error is not None:
            raise error


def state_of(breaker: Breaker) -> BreakerState:
    return breaker.state


def fail(breaker: Breaker, error: OracleError, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(type(error)):
            talk(breaker, error)


def test_it_opens_after_lost_connections_in_a_row_and_then_refuses_callers() -> None:
    breaker = Breaker("bulk", failures=3, open_s=30, now=Hands())
    fail(breaker, LOST, 3)
    assert state_of(breaker) is BreakerState.OPEN
    with pytest.raises(LaneBusy) as refusal:
        talk(breaker)
    assert (refusal.value.code, refusal.value.retry_after_s) == ("BREAKER", 30)
    assert "DPY-6005" in refusal.value.text


def test_a_success_or_a_refusal_resets_the_count() -> None:
    breaker = Breaker("bulk", failures=3, now=Hands())
    for answer in (None, REJECTED, DeadlineExceeded("query", 60), DeadlineExceeded("call", 20)):
        fail(breaker, LOST, 2)
        if answer is None:
            talk(breaker)
        else:
            fail(breaker, answer)
    assert state_of(breaker) is BreakerState.CLOSED


def test_only_a_lost_connection_counts() -> None:
    assert is_lost(LOST)
    assert is_lost(DeadlineExceeded("connect", 10))
    assert not is_lost(DeadlineExceeded("query", 60))
    assert not is_lost(REJECTED)


def test_half_open_lets_one_try_and_its_success_closes() -> None:
    clock = Hands()
    breaker = Breaker("bulk", failures=1, open_s=30, now=clock)
    fail(breaker, LOST)
    clock.now_s = 31
    assert state_of(breaker) is BreakerState.HALF_OPEN
    with breaker.guard():
        with pytest.raises(LaneBusy):
            talk(breaker)
    assert state_of(breaker) is BreakerState.CLOSED
    assert breaker.opened == 1


def test_half_open_opens_again_when_the_try_fails() -> None:
    clock = Hands()
    breaker = Breaker("bulk", failures=5, open_s=30, now=clock)
    fail(breaker, LOST, 5)
    clock.now_s = 31
    fail(breaker, LOST)
    assert state_of(breaker) is BreakerState.OPEN


def test_a_cancelled_try_counts_for_nothing_and_the_next_caller_tries() -> None:
    clock = Hands()
    breaker = Breaker("bulk", failures=1, open_s=30, now=clock)
    fail(breaker, LOST)
    clock.now_s = 31
    with pytest.raises(KeyboardInterrupt):
        talk(breaker, KeyboardInterrupt())
    assert state_of(breaker) is BreakerState.HALF_OPEN
    talk(breaker)
    assert state_of(breaker) is BreakerState.CLOSED
