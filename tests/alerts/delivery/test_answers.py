from datetime import timedelta
from email.utils import format_datetime

import pytest

from alerts.delivery.answers import Delivered, Gone, Refused, Retry, Wait, judge, parse_retry_after, splits_digest
from tests.alerts.fakes import START

NOW = START.replace(microsecond=0)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_is_delivered(status: int) -> None:
    assert judge(status, None, NOW) == Delivered(status)


@pytest.mark.parametrize("status", [400, 404, 406, 409, 413, 415, 422])
def test_a_message_may_be_refused_for_its_content(status: int) -> None:
    assert judge(status, None, NOW) == Refused(f"HTTP {status}", status)


@pytest.mark.parametrize("status", [301, 302, 401, 403, 405, 407, 408, 500, 502, 503, 504])
def test_everything_else_is_tried_again(status: int) -> None:
    assert judge(status, None, NOW) == Retry(f"HTTP {status}", status)


def test_410_is_the_end() -> None:
    assert judge(410, "20", NOW) == Gone()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_receiver_that_names_a_time_wants_to_be_left_alone(status: int) -> None:
    assert judge(status, "20", NOW) == Wait(f"HTTP {status}", status, 20.0)


def test_429_asks_for_a_pause_without_a_time_too() -> None:
    assert judge(429, None, NOW) == Wait("HTTP 429", 429)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 20 ", 20.0),
        ("86400", 3600.0),
        ("9" * 400, 3600.0),
        (format_datetime(NOW + timedelta(seconds=61)), 61.0),
        ("Fri, 31 Dec 2099 23:59:59 GMT", 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        (format_datetime(NOW - timedelta(hours=1)), None),
        ("64.57", 64.57),
        ("0.35", 0.35),
        ("0", None),
        ("0.0", None),
        ("-5", None),
        ("-5.5", None),
        ("1.2.3", None),
        ("", None),
        ("soon", None),
        ("1e9", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


def test_a_digest_is_split_at_once_but_for_a_first_404() -> None:
    assert splits_digest(413, 1)
    assert splits_digest(400, 1)
    assert not splits_digest(404, 1)
    assert splits_digest(404, 2)
