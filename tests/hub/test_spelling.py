"""Suggestions."""

from hub.spelling import did_you_mean


def test_the_closest_is_suggested_whatever_its_case() -> None:
    assert did_you_mean("PROT", ["host", "port"]) == "; did you mean 'port'?"


def test_nothing_is_suggested_when_nothing_is_close() -> None:
    assert did_you_mean("zebra", ["host", "port"]) == ""
    assert did_you_mean("zebra", []) == ""
