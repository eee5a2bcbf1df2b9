"""Rule tests."""

from pathlib import Path
from typing import Any

import pytest

from alerts.testing.rehearse import RehearsalError, rehearse, rehearse_file

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "rules-test.yaml"


def document(**fields: Any) -> dict[str, Any]:
    return {
        "rules": [{"name": "r", "metric": "lp", "above": 65, "for": "3s"}],
        "series": [{"subject": "gate-a", "metric": "lp", "values": [60, "70 x 5", "over", "60 x 5"]}],
        **fields,
    }


def test_the_example_is_as_expected() -> None:
    report = rehearse_file(EXAMPLE)
    assert report.is_as_expected, str(report)
    assert len(report.lines) == 4


def test_what_happens_unexpectedly_is_named() -> None:
    report = rehearse(document())
    assert not report.is_as_expected
    assert report.lines[0].split() == ["UNEXPECTED", "+4s", "onset", "r", "gate-a", "warning", "lp", "70.0"]
    assert str(report).endswith("2 transitions, not as expected")


def test_what_does_not_happen_is_named() -> None:
    report = rehearse(
        document(
            expect=[
                {"at": "4s", "type": "onset"},
                {"at": "9s", "type": "clear", "rule": "r"},
                {"at": "10s", "type": "clear"},
            ]
        )
    )
    assert [line.split()[0] for line in report.lines] == ["ok", "MISSING", "ok"]
    assert not report.is_as_expected


@pytest.mark.parametrize(
    "expected",
    [
        {"at": "5s", "type": "onset"},
        {"at": "4s", "type": "no_data"},
        {"at": "4s", "type": "onset", "rule": "other"},
        {"at": "4s", "type": "onset", "subject": "gate-b"},
        {"at": "4s", "type": "onset", "severity": "info"},
        {"at": "4s", "type": "onset", "reason": "over-range"},
    ],
)
def test_each_field_given_is_compared(expected: dict[str, str]) -> None:
    onset, clear = {"at": "4s", "type": "onset", "subject": "gate-a"}, {"at": "10s", "type": "clear"}
    assert rehearse(document(expect=[onset, clear])).is_as_expected
    assert not rehearse(document(expect=[expected, clear])).is_as_expected


def test_machines_and_lost_units_can_be_played() -> None:
    rules = [
        {"name": "down", "metric": "status", "in": ["E10", "E20"], "equipment": {"category": ["DOWN"]}},
        {"name": "loud", "metric": "lp", "above": 65},
    ]
    series = [
        {"subject": "equipment/fab/M1", "metric": "status", "values": ["RUN x 3", "E10"]},
        {"subject": "a", "metric": "reachable", "from": "1s", "values": [True, False]},
        {"subject": "a", "metric": "lp", "from": "3s", "values": [90]},
    ]
    expect = [
        {"at": "2s", "type": "onset", "rule": "unit-unreachable"},
        {"at": "3s", "type": "onset", "rule": "down", "subject": "equipment/fab/M1"},
    ]
    subjects = {"equipment/fab/M1": {"status_category": "DOWN"}}
    report = rehearse({"rules": rules, "series": series, "subjects": subjects, "expect": expect})
    assert report.is_as_expected, str(report)


def test_time_goes_on_after_the_series_until_told() -> None:
    rules = [{"name": "silent", "metric": "lp", "above": 65, "no_data": {"after": "1m", "action": "alarm"}}]
    expect = [{"at": "60s", "type": "no_data"}]
    series = [{"subject": "a", "metric": "lp", "values": [50]}]
    assert rehearse({"rules": rules, "series": series, "until": "2m", "expect": expect}).is_as_expected
    assert not rehearse({"rules": rules, "series": series, "expect": expect}).is_as_expected


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"rules": [{"name": "r", "metric": "lp", "above": 300}]}, "rules.0.above: lp above 300 can never fire"),
        ({"timezone": "Europe/Londen"}, "did you mean 'Europe/London'"),
        ({"expect": [{"at": "1s", "type": "on"}]}, "expect.0.type"),
        ({"series": [{"subject": "a", "metric": "lp", "values": ["loud"]}]}, "'loud' is no value of lp"),
        ({"series": [{"subject": "a", "metric": "reachable", "values": [3]}]}, "write true or false"),
        ({"series": [{"subject": "M1", "metric": "status", "values": ["E10"]}]}, "write equipment/<feed>/M1"),
        ({"series": [{"subject": "a", "metric": "lp", "values": ["60 x 9000000"]}]}, "write fewer"),
        ({"series": [{"subject": "a", "metric": "lp", "every": "0s", "values": [60]}]}, "greater than 0"),
    ],
)
def test_a_document_that_cannot_be_played_says_why(fields: dict[str, object], error: str) -> None:
    with pytest.raises(RehearsalError, match=error.replace("?", r"\?")):
        rehearse(document(**fields))


def test_the_rules_of_a_configuration_can_be_tested(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "alerts:\n  rules:\n  - {name: on, metric: lp, above: 65, schedule: {from: 22:00, to: 07:00}}\n"
    )
    (tmp_path / "test.yaml").write_text(
        "config: config.yaml\nstart: 2026-01-01T22:00:00Z\n"
        "series: [{subject: 0001, metric: lp, values: [70]}]\n"
        "expect: [{at: 0s, type: onset, rule: on, subject: 0001}]\n"
    )
    report = rehearse_file(tmp_path / "test.yaml")
    assert report.is_as_expected, str(report)


@pytest.mark.parametrize("text", ["rules: [", "- a", ""])
def test_a_file_that_is_no_document_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "test.yaml").write_text(text)
    with pytest.raises(RehearsalError, match=r"test\.yaml"):
        rehearse_file(tmp_path / "test.yaml")
    with pytest.raises(RehearsalError, match=r"none\.yaml"):
        rehearse_file(tmp_path / "none.yaml")


def test_a_file_that_cannot_be_read_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    for name, words in (("none", "cannot be read: No such file or directory"), ("bytes", "is not UTF-8 text")):
        with pytest.raises(RehearsalError) as caught:
            rehearse_file(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name} {words}"
