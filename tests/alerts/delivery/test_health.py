from alerts.delivery.health import Trouble


def test_ten_minutes_of_failing_is_news_once() -> None:
    trouble = Trouble()
    trouble.failed("refused", 0.0)
    trouble.failed("HTTP 500", 300.0)
    assert not trouble.is_news(599.9)
    assert trouble.report_at_s == 600.0
    assert trouble.is_news(600.0)
    assert trouble.reason == "HTTP 500"
    assert not trouble.is_news(700.0)
    assert trouble.is_failing


def test_its_end_is_news_only_where_it_was_reported() -> None:
    trouble = Trouble()
    assert trouble.worked()  # the first ever: trouble of an earlier process may be open
    trouble.failed("refused", 0.0)
    assert not trouble.worked()
    assert not trouble.is_failing
    trouble.failed("gone", 1000.0, is_final=True)
    assert trouble.is_news(1000.0)
    assert trouble.worked()
    assert trouble.report_at_s is None


def test_the_first_failure_is_worth_a_line_and_one_every_ten_minutes_after() -> None:
    trouble = Trouble()
    assert trouble.failed("HTTP 400", 0.0)
    assert not trouble.has_worked
    assert not trouble.failed("HTTP 400", 5.0)
    trouble.worked()
    assert trouble.has_worked
    assert not trouble.failed("HTTP 400", 10.0)
    trouble.worked()
    assert trouble.failed("HTTP 400", 600.0)
