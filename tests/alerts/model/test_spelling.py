"""Suggestions for misspelt names."""

from alerts.model.spelling import did_you_mean


def test_the_closest_is_suggested_whatever_its_case() -> None:
    assert did_you_mean("PROT", ["host", "port"]) == "; did you mean 'port'?"
    assert did_you_mean("stanby", ["DOWN", "STANDBY"]) == "; did you mean 'STANDBY'?"


def test_nothing_is_suggested_when_nothing_is_close() -> None:
    assert did_you_mean("zebra", ["host", "port"]) == ""
    assert did_you_mean("zebra", []) == ""


def test_a_word_of_any_length_gets_an_answer() -> None:
    assert did_you_mean("x" * 1_000_000, ["x" * 1000]) == ""
