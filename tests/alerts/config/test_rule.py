"""Which rules are valid, and the errors of those that are not."""

import pytest
from pydantic import ValidationError

from alerts.config.rule import Rule, Schedule
from tests.alerts.play import make_rule


def complaint(**fields: object) -> str:
    """What is wrong with a rule of these fields; exactly one thing."""
    with pytest.raises(ValidationError) as caught:
        make_rule(**fields)
    errors = caught.value.errors()
    assert len(errors) == 1
    return str(errors[0]["msg"])


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "exactly one of above, below, equals, in, levels; this one has none"),
        ({"above": 65, "below": 30}, "this one has above and below"),
        ({"metric": "laeq 15m", "above": 65}, "'laeq 15m' is not a metric; a name has letters, digits and _"),
        ({"metric": "temperature", "above": float("inf")}, "can never fire; write a number other than infinity"),
        ({"metric": "temperature", "equals": "hot"}, "temperature is a number, so 'hot' never occurs"),
        ({"above": 200}, "lp above 200 can never fire; write a number between -50 and 200 dB"),
        ({"above": float("nan")}, "can never fire"),
        ({"below": -60}, "lp below -60 can never fire"),
        ({"levels": []}, "levels without a level never fire"),
        ({"levels": [{"severity": "warning", "above": 75}, {"severity": "critical", "above": 65}]}, "must rise"),
        ({"levels": [{"severity": "warning", "above": 65}, {"severity": "critical", "above": 65}]}, "must rise"),
        ({"levels": [{"severity": "critical", "above": 65}, {"severity": "warning", "above": 75}]}, "must rise"),
        ({"levels": [{"severity": "critical", "above": 265}]}, "can never fire"),
        ({"metric": "status", "above": 3}, "compares numbers and status is not a number; write `equals or in`"),
        ({"metric": "reachable", "below": 1}, "write `equals: false`"),
        ({"metric": "reachable", "equals": "down"}, "true or false, so 'down' never occurs; write `equals: false`"),
        ({"metric": "lot_count", "equals": "DOWN"}, "lot_count is a number, so 'DOWN' never occurs"),
        ({"metric": "lot_count", "equals": 1.5}, "whole number"),
        ({"metric": "lot_count", "below": 0}, "lot_count below 0 can never fire"),
        ({"metric": "age_s", "in": ["x"]}, "`in` compares text"),
        ({"metric": "status_category", "equals": "BROKEN"}, "'BROKEN' is not a status category"),
        ({"metric": "status_category", "equals": "down"}, "did you mean 'DOWN'?"),
        ({"metric": "status_category", "in": []}, "`in` without values never fires"),
        ({"metric": "status_category", "in": ["DOWN", "STANBY"]}, "did you mean 'STANDBY'?"),
        ({"metric": "status", "equals": " "}, "never occurs"),
        ({"metric": "status", "equals": "RUN", "units": ["a"]}, "write `equipment` instead of `units`"),
        ({"above": 65, "equipment": {}}, "write `units` instead of `equipment`"),
        ({"metric": "status", "equals": "RUN", "equipment": {"category": ["UP"]}}, "not a status category"),
        ({"above": 65, "units": []}, "matches nothing"),
        ({"above": 65, "clear_margin": -1}, "0 or more"),
        ({"above": 65, "every": "0s"}, "no cadence"),
        ({"above": 65, "no_data": {"after": "0s"}}, "would be always"),
        ({"above": 65, "flow": "site"}, "flows are not available in this version"),
        ({"above": 65, "for": "30"}, "30 needs a unit: write 30s"),
    ],
)
def test_the_error_of_an_invalid_rule_says_what_to_write(fields: dict[str, object], error: str) -> None:
    assert error in complaint(**fields)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"from": "7:00"}, "two digits each"),
        ({"from": "24:00"}, "not a time of day"),
        ({"to": "25:00"}, "not a time of day"),
        ({"to": "22:60"}, "not a time of day"),
        ({"timezone": "Europe/Londen"}, "did you mean 'Europe/London'?"),
        ({"timezone": "../secrets"}, "IANA name"),
        ({"timezone": ""}, "IANA name"),
        ({"timezone": "Europe"}, "is not a time zone"),
        ({"days": []}, "never holds"),
        ({"days": ["funday"]}, "'mon'"),
    ],
)
def test_a_bad_day_time_or_zone_is_an_error(fields: dict[str, object], error: str) -> None:
    with pytest.raises(ValidationError, match=error.replace("?", r"\?")):
        Schedule.model_validate(fields)


def test_an_error_names_the_field_it_is_about() -> None:
    with pytest.raises(ValidationError) as caught:
        make_rule(above=65, schedule={"from": "7:00"})
    assert caught.value.errors()[0]["loc"] == ("schedule", "from")
    with pytest.raises(ValidationError) as caught:
        make_rule(metric="lot_count", equals="DOWN")
    assert caught.value.errors()[0]["loc"] == ("equals",)


@pytest.mark.parametrize(
    ("metric", "margin"), [("lp", 2.0), ("laeq_15m", 2.0), ("leq", 2.0), ("lot_count", 0.0), ("age_s", 0.0)]
)
def test_the_margin_is_two_for_levels_and_none_for_the_rest(metric: str, margin: float) -> None:
    assert make_rule(metric=metric, above=65).margin == margin


def test_equals_keeps_numbers_numbers_and_truth_truth() -> None:
    assert make_rule(metric="lot_count", equals=0).equals == 0.0
    assert not isinstance(make_rule(metric="lot_count", equals=0).equals, bool)
    assert make_rule(metric="reachable", equals=False).equals is False


def test_a_rule_without_a_match_is_about_every_unit_or_machine() -> None:
    assert isinstance(make_rule(metric="status_category", equals="DOWN"), Rule)
    assert isinstance(make_rule(metric="status_category", equals="DOWN", equipment={}), Rule)
