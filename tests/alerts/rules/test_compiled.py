"""A compiled rule: which settings decide, which cadence it needs, and which warnings it deserves."""

import subprocess
import sys

import pytest

from alerts.rules.compiled import gap_s, rule_hash, sampling_s, warnings_for
from tests.alerts.play import make_rule


@pytest.mark.parametrize(
    "fields",
    [
        {"above": 66},
        {"clear_margin": 3},
        {"for": "5s"},
        {"clear_for": "5s"},
        {"cooldown": "1m"},
        {"no_data": {"action": "clear"}},
        {"schedule": {"from": "22:00", "to": "07:00"}},
        {"match": {"site": "dockside"}},
        {"units": ["gate-*"]},
        {"metric": "laeq_15m"},
    ],
)
def test_the_hash_changes_with_what_decides(fields: dict[str, object]) -> None:
    assert rule_hash(make_rule(**{"above": 65, **fields})) != rule_hash(make_rule(above=65))


@pytest.mark.parametrize(
    "fields",
    [
        {"notify": ["ops"]},
        {"severity": "critical"},
        {"every": "5s"},
        {"clear_margin": 2},
        {"clear_for": "0s"},
        {"above": 65.0},
    ],
)
def test_the_hash_keeps_with_who_is_told_and_with_defaults_written_out(fields: dict[str, object]) -> None:
    assert rule_hash(make_rule(**{"above": 65, **fields})) == rule_hash(make_rule(above=65))


def test_the_hash_is_the_same_in_every_process() -> None:
    script = (
        "from alerts.rules.compiled import rule_hash; from tests.alerts.play import make_rule;"
        "print(rule_hash(make_rule(above=65, match={'b': '1', 'a': '2'})))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert printed == rule_hash(make_rule(above=65, match={"a": "2", "b": "1"}))


@pytest.mark.parametrize(
    ("fields", "asked_s"),
    [
        ({}, 1.0),
        ({"for": "2s"}, 1.0),
        ({"for": "30s"}, 10.0),
        ({"every": "5s"}, 5.0),
        ({"every": "250ms"}, 1.0),
        ({"every": "5s", "for": "1m"}, 5.0),
        ({"metric": "laeq_15m", "for": "30m"}, 1.0),
        ({"metric": "leq", "for": "30s"}, 10.0),
    ],
)
def test_the_sampling_a_rule_asks_of_a_unit(fields: dict[str, object], asked_s: float) -> None:
    assert sampling_s(make_rule(**{"above": 65, **fields}), watched_s=1.0) == asked_s


def test_a_rule_on_reachability_or_on_machines_asks_for_no_sampling() -> None:
    assert sampling_s(make_rule(metric="reachable", equals=False), 1.0) == float("inf")
    assert sampling_s(make_rule(metric="lot_count", above=3), 1.0) == float("inf")


@pytest.mark.parametrize(
    ("metric", "windowed"), [("leq", "laeq_15m"), ("le", "laeq_1h"), ("ln1", "la10_15m"), ("lmax", "lp")]
)
def test_a_rule_on_a_run_total_is_told_what_moves_on(metric: str, windowed: str) -> None:
    (warning,) = warnings_for(make_rule(metric=metric, above=65))
    assert f"{metric} is a total of the whole run and freezes when the run stops" in warning
    assert windowed in warning


def test_a_count_that_can_never_clear_is_warned_of() -> None:
    assert "never clears; write above: 0.5" in warnings_for(make_rule(metric="lot_count", above=0))[0]
    assert warnings_for(make_rule(metric="lot_count", above=0.5)) == []
    assert warnings_for(make_rule(above=65)) == []


def test_a_gap_is_three_cadences_and_never_less_than_ten_seconds() -> None:
    assert gap_s(1.0) == pytest.approx(10.0, abs=1e-3)
    assert gap_s(60.0) == pytest.approx(180.0, abs=1e-3)
