from dataclasses import replace
from datetime import timedelta

import pytest

from alerts.config.caption import Caption
from alerts.config.rule import Rule
from alerts.delivery.summary import one_line, spoken_duration, summarize
from alerts.model.alert import Alert, TransitionType
from tests.alerts.fakes import START, cleared, onset, transition

LIMIT = Rule.model_validate({"name": "night-limit", "metric": "laeq_15m", "above": 65, "for": "30s"})


def said(kind: TransitionType, alert: Alert, rule: Rule | None = None) -> str:
    return summarize(transition(kind, alert), rule)


def test_an_onset_says_value_limit_and_how_long() -> None:
    assert said(TransitionType.ONSET, onset(), LIMIT) == "gate-a Leq,15min 66.2 dB > 65.0 dB for 30 s"
    assert said(TransitionType.ONSET, onset(value=None), LIMIT).startswith("gate-a Leq,15min over range > 65.0 dB")
    assert said(TransitionType.ONSET, onset()) == "gate-a Leq,15min 66.2 dB > 65.0 dB"


def test_a_quiet_limit_is_below() -> None:
    rule = Rule(name="r", metric="lp", below=30)
    alert = replace(onset(metric="lp", value=28.0), threshold=30.0)
    assert said(TransitionType.ONSET, alert, rule) == "gate-a Lp 28.0 dB < 30.0 dB"
    assert (
        said(TransitionType.CLEAR, cleared(alert), rule)
        == "gate-a Lp back above 32.0 dB after 12 min, peak 28.0 dB"
    )


def test_a_clear_says_the_way_back_and_the_peak() -> None:
    clear = cleared(onset())
    assert (
        said(TransitionType.CLEAR, clear, LIMIT) == "gate-a Leq,15min back below 63.0 dB after 12 min, peak 66.2 dB"
    )
    ended = replace(clear, reason="run-ended")
    assert (
        said(TransitionType.CLEAR, ended, LIMIT) == "gate-a Leq,15min cleared after 12 min: run-ended, peak 66.2 dB"
    )


def test_a_status_is_said_as_it_is() -> None:
    rule = Rule.model_validate({"name": "down", "metric": "status_category", "equals": "DOWN", "for": "10m"})
    alert = onset("down", "equipment/fab/GWBK-9001", value="DOWN", metric="status_category")
    assert said(TransitionType.ONSET, alert, rule) == "GWBK-9001 status_category DOWN for 10 min"
    over = replace(cleared(alert), value="PRODUCTIVE")
    assert said(TransitionType.CLEAR, over, rule) == "GWBK-9001 status_category PRODUCTIVE, cleared after 12 min"


def test_reachability_has_its_reason() -> None:
    away = onset("unit-unreachable", value=False, metric="reachable", reason="refused")
    assert said(TransitionType.ONSET, away) == "gate-a unreachable: refused"
    assert said(TransitionType.CLEAR, cleared(away)) == "gate-a reachable again after 12 min"


def test_the_hub_speaks_of_itself() -> None:
    failing = onset("receiver-failing", "hub/receiver/ops", value=False, metric="ok", reason="HTTP 500")
    assert said(TransitionType.ONSET, failing) == "ops receiver-failing: HTTP 500"
    assert said(TransitionType.CLEAR, cleared(failing)) == "ops receiver-failing over after 12 min"


def test_people_and_silence_are_told_of() -> None:
    alert = replace(onset(), acknowledged_by="anna", comment="on my way")
    assert said(TransitionType.ACK, alert) == "gate-a Leq,15min acknowledged by anna: on my way"
    assert said(TransitionType.UNACK, onset()) == "gate-a Leq,15min no longer acknowledged"
    assert said(TransitionType.NO_DATA, onset(), LIMIT) == "gate-a Leq,15min no data for 1 min"
    assert said(TransitionType.LEVEL, onset()) == "gate-a Leq,15min 66.2 dB > 65.0 dB, now critical"


def test_a_level_is_called_by_the_weighting_its_meter_is_set_to() -> None:
    def called(**metrics: str) -> str:
        return summarize(transition(TransitionType.ONSET, onset()), LIMIT, Caption(None, metrics))

    assert called(laeq_15m="LAeq,15min") == "gate-a LAeq,15min 66.2 dB > 65.0 dB for 30 s"
    assert called(laeq_15m="LCeq,15min") == "gate-a LCeq,15min 66.2 dB > 65.0 dB for 30 s"
    assert called(lp="LAF") == "gate-a Leq,15min 66.2 dB > 65.0 dB for 30 s"


def test_a_unit_is_called_by_its_name_beside_its_id() -> None:
    def called(name: str, alert: Alert) -> str:
        return summarize(transition(TransitionType.ONSET, alert), None, Caption(name))

    away = onset("unit-unreachable", value=False, metric="reachable", reason="refused")
    assert called("Gate A", onset()).startswith("gate-a (Gate A) Leq,15min 66.2 dB")
    assert called("Gate A", away) == "gate-a (Gate A) unreachable: refused"
    assert called("gate-a", away) == "gate-a unreachable: refused"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250 ms"), (30, "30 s"), (90, "1 min 30 s"), (720, "12 min"), (5400, "1 h 30 min"), (3601, "1 h")],
)
def test_durations_are_spoken_in_two_units_at_most(seconds: float, text: str) -> None:
    assert spoken_duration(seconds) == text


def test_an_alert_without_onset_time_still_clears() -> None:
    alert = replace(cleared(onset()), started_at=None, cleared_at=START + timedelta(seconds=1))
    assert said(TransitionType.CLEAR, alert, LIMIT).startswith("gate-a Leq,15min back below 63.0 dB, peak")


def test_a_summary_is_one_line_of_bounded_length_whatever_people_write() -> None:
    assert one_line("  for\nthe\tnight\0 shift\ud800 ") == "for the night\ufffd shift\ufffd"
    assert one_line("Zürich 夜間 65 dB") == "Zürich 夜間 65 dB"
    assert one_line("x" * 1001) == "x" * 999 + "…"
