from alerts.model.metrics import Metric
from hub.readings.reading import QuantityReading
from tests.hub.fake_link import READING


def test_qualities_say_what_is_wrong_with_a_reading() -> None:
    assert READING.qualities("Start") == ()
    assert READING._replace(lp=None).qualities("Start") == ("missing",)
    assert READING._replace(over=True).qualities(None) == ("over", "unknown_run")
    assert READING.qualities("Stop") == ("frozen",)


def test_a_reading_says_a_level_by_its_name_and_nothing_of_what_is_no_level() -> None:
    assert (READING.value("lp"), READING.value("temperature"), READING.value("raw")) == (READING.lp, None, None)


def test_a_reading_of_quantities_needs_no_run_and_says_when_a_value_is_missing() -> None:
    metrics = {name: Metric(name) for name in ("temperature", "wind")}
    reading = QuantityReading({"temperature": 21.3, "wind": 0.0}, metrics)
    assert (reading.value("temperature"), reading.value("lp"), reading.qualities(None)) == (21.3, None, ())
    assert reading._replace(quantities={"temperature": None, "wind": 1.0}).qualities(None) == ("missing",)
