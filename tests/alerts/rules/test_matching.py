"""Which subjects a rule matches."""

import pytest

from alerts.rules.matching import matcher_of, named_by
from alerts.rules.system import system_rule
from tests.alerts.play import make_rule

UNITS = [
    ("unit/gate-a", {"site": "dockside"}),
    ("unit/gate-b", {"site": "yard"}),
    ("unit/mill", {"site": "dockside"}),
]
MACHINES = [
    ("equipment/fab/M1", {"feed": "fab"}, {"status": "E10", "status_category": "DOWN"}),
    ("equipment/fab/M2", {"feed": "fab"}, {"status": "RUN", "status_category": "PRODUCTIVE"}),
    ("equipment/lab/a/b", {"feed": "lab"}, {"status": "E10", "status_category": "DOWN"}),
]


def matched(**fields: object) -> list[str]:
    matches = matcher_of(make_rule(**fields))
    subjects = [*((subject, labels, {}) for subject, labels in UNITS), *MACHINES]
    return [
        subject.rpartition("/")[2]
        for subject, labels, attributes in subjects
        if matches(subject, labels, attributes)
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["gate-a", "gate-b", "mill"]),
        ({"units": ["gate-*"]}, ["gate-a", "gate-b"]),
        ({"units": ["gate-?", "mill"]}, ["gate-a", "gate-b", "mill"]),
        ({"units": ["gate-[a]"]}, ["gate-a"]),
        ({"units": ["gate"]}, []),
        ({"match": {"site": "dockside"}}, ["gate-a", "mill"]),
        ({"match": {"site": "dockside"}, "units": ["gate-*"]}, ["gate-a"]),
        ({"match": {"floor": "1"}}, []),
    ],
)
def test_units_match_by_label_and_glob_and_both_must_hold(fields: dict[str, object], expected: list[str]) -> None:
    assert matched(above=65, **fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["M1", "M2", "b"]),
        ({"equipment": {}}, ["M1", "M2", "b"]),
        ({"equipment": {"category": ["DOWN"]}}, ["M1", "b"]),
        ({"equipment": {"status": ["RUN", "IDLE"]}}, ["M2"]),
        ({"equipment": {"id": ["M*"]}}, ["M1", "M2"]),
        ({"equipment": {"id": ["a/b"]}}, ["b"]),
        ({"equipment": {"category": ["DOWN"]}, "match": {"feed": "fab"}}, ["M1"]),
    ],
)
def test_machines_match_by_what_they_are_now(fields: dict[str, object], expected: list[str]) -> None:
    assert matched(metric="lot_count", above=3, **fields) == expected


def test_a_system_rule_matches_its_own_subjects_only() -> None:
    matches = matcher_of(system_rule("child-failed", "warning", ()))
    assert matches("hub/child/recorder", {}, {})
    assert not matches("hub/storage", {}, {})
    assert matcher_of(system_rule("unit-unreachable", "warning", ()))("unit/gate-a", {}, {})


def test_a_rule_that_names_its_units_one_by_one_is_about_no_others() -> None:
    assert named_by(make_rule(above=65, units=["a", "b"])) == frozenset({"unit/a", "unit/b"})
    assert named_by(make_rule(above=65, units=["a", "b-*"])) is None
    assert named_by(make_rule(above=65)) is None
    assert named_by(system_rule("disk-full", "warning", ())) is None
