"""Suggestions for misspelt names."""

from hub.fields.spelling import Suggestions


def test_a_mistake_made_again_costs_no_more_comparisons() -> None:
    suggestions = Suggestions()
    for _ in range(100_000):
        assert suggestions.did_you_mean("prot", ["host", "port"]) == "; did you mean 'port'?"


def test_many_mistakes_against_many_choices_are_compared_for_a_moment_only() -> None:
    suggestions = Suggestions()
    units = [f"unit-{number}" for number in range(5000)]
    said = [suggestions.did_you_mean(f"unti-{number}", units) for number in range(1000)]
    assert said[0] == "; did you mean 'unit-0'?"
    assert not any(said[10:])
