"""The system rules."""

import pytest
from pydantic import ValidationError

from alerts.rules.system import SYSTEM_SUBJECTS, system_rules
from tests.alerts.play import make_rule


def test_there_is_a_rule_for_every_trouble_at_once_and_without_cooldown() -> None:
    rules = system_rules("critical", ("ops",))
    assert {rule.name for rule in rules} == set(SYSTEM_SUBJECTS)
    assert {(rule.for_, rule.cooldown, rule.equals, rule.severity, rule.notify) for rule in rules} == {
        (0.0, 0.0, False, "critical", ("ops",))
    }
    assert {rule.name for rule in rules if rule.metric == "reachable"} == {"unit-unreachable"}


def test_nobody_else_may_use_their_metric() -> None:
    with pytest.raises(ValidationError, match="not a metric"):
        make_rule(metric="ok", equals=False)
