from datetime import timedelta

from alerts.delivery.answers import Delivered, Gone, Refused, Retry
from alerts.delivery.attempted import attempt_of, finished, held, put_off
from alerts.model.delivery import Attempt, Delivery
from tests.alerts.fakes import START

DELIVERY = Delivery("d1", "ops", "alert.onset", START, b"{}", "a1", 1)
LATER = START + timedelta(seconds=2)


def test_an_attempt_is_numbered_and_keeps_status_and_error() -> None:
    assert attempt_of(DELIVERY, Delivered(204), LATER, 0.1) == Attempt("d1", 1, LATER, 0.1, 204, None)
    assert attempt_of(DELIVERY, Refused("HTTP 413", 413), LATER, 0.1) == Attempt(
        "d1", 1, LATER, 0.1, 413, "HTTP 413"
    )
    assert attempt_of(DELIVERY, Retry("refused"), LATER, 0.1) == Attempt("d1", 1, LATER, 0.1, None, "refused")
    assert attempt_of(DELIVERY, Gone(), LATER, 0.1).status == 410


def test_a_delivery_counts_its_attempts_from_the_first() -> None:
    first = put_off(DELIVERY, Attempt("d1", 1, LATER, 0.1), LATER, 5.0, is_held=False)
    assert (first.state, first.attempts, first.first_at) == ("pending", 1, LATER)
    assert first.next_at == LATER + timedelta(seconds=5)
    end = LATER + timedelta(hours=1)
    done = finished(first, Attempt("d1", 2, end, 0.1), first.state.DELIVERED, end)
    assert (done.state, done.attempts, done.first_at, done.next_at) == ("delivered", 2, LATER, None)
    assert done.finished_at == end


def test_what_a_410_met_is_held() -> None:
    assert held(DELIVERY, Attempt("d1", 1, LATER, 0.1)).state == "held"
    assert put_off(DELIVERY, Attempt("d1", 1, LATER, 0.1), LATER, 5.0, is_held=True).state == "held"
