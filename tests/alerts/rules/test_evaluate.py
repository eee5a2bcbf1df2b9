"""The states of an alert, case by case."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from alerts.delivery.summary import summarize
from alerts.model.alert import Alert, State, Transition, alert_id
from alerts.model.sample import Quality, Sample, Value, WindowBasis
from alerts.rules.compiled import compile_rule
from alerts.rules.evaluate import evaluate
from tests.alerts.play import BEGIN, Play, at, make_rule

HOLDING = [Quality.MISSING, Quality.UNDER, Quality.FROZEN, Quality.UNKNOWN_RUN]


def test_a_quiet_sample_gives_back_the_very_same_alert() -> None:
    rule = compile_rule(make_rule(above=65), "UTC")
    alert = Alert("r", "unit/a", rule.hash, "lp")
    after, transition = evaluate(rule, alert, Sample("unit/a", "lp", 65.0, BEGIN, 0.0))
    assert after is alert
    assert transition is None


@pytest.mark.parametrize(("value", "fires"), [(65.0, False), (65.1, True)])
def test_onset_is_strictly_above(value: float, fires: bool) -> None:
    assert (Play(make_rule(above=65)).sample(0, value) == ["onset"]) is fires


@pytest.mark.parametrize(("value", "clears"), [(64.9, False), (63.0, False), (62.9, True)])
def test_clear_is_strictly_below_the_threshold_less_the_margin(value: float, clears: bool) -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 70.0)
    assert (play.sample(1, value) == ["clear"]) is clears


def test_the_clear_line_is_the_decimal_that_was_meant() -> None:
    play = Play(make_rule(above=64.3, clear_margin=2))
    play.sample(0, 70.0)
    assert play.sample(1, 62.3) == []
    assert play.sample(2, 62.2) == ["clear"]


@pytest.mark.parametrize(
    ("value", "happens"), [(30.0, []), (29.9, ["onset"])], ids=["at the threshold", "under the threshold"]
)
def test_below_onset_is_mirrored(value: float, happens: list[str]) -> None:
    assert Play(make_rule(below=30)).sample(0, value) == happens


def test_below_clear_and_peak_are_mirrored() -> None:
    play = Play(make_rule(below=30))
    play.sample(0, 20.0)
    play.sample(1, 15.0)
    assert play.sample(2, 32.0) == []
    assert play.sample(3, 32.1) == ["clear"]
    assert play.last().peak == 15.0


def test_an_onset_says_what_the_receivers_need() -> None:
    play = Play(make_rule(above=65, severity="critical"))
    play.sample(0, 66.2)
    alert = play.last()
    assert (alert.state, alert.severity, alert.value, alert.threshold, alert.peak) == (
        State.FIRING,
        "critical",
        66.2,
        65.0,
        66.2,
    )
    assert (alert.started_at, alert.cleared_at, alert.sequence) == (BEGIN, None, 1)
    assert alert.id == alert_id("r", "unit/a", BEGIN)


def test_for_holds_the_onset_until_it_has_lasted() -> None:
    play = Play(make_rule(above=65, **{"for": "30s"}))
    assert play.samples(range(60), 70.0) == [(30, "onset")]


def test_one_value_that_does_not_exceed_starts_the_onset_anew() -> None:
    play = Play(make_rule(above=65, **{"for": "30s"}))
    play.samples(range(20), 70.0)
    assert play.sample(20, 65.0) == []
    assert play.state() is State.INACTIVE
    assert play.samples(range(21, 60), 70.0) == [(51, "onset")]


def test_clear_for_holds_the_clear_and_a_value_in_the_margin_starts_it_anew() -> None:
    play = Play(make_rule(above=65, clear_for="10s"))
    play.sample(0, 70.0)
    play.samples(range(1, 9), 60.0)
    assert play.state() is State.CLEARING
    play.sample(9, 64.0)
    assert play.state() is State.FIRING
    assert play.samples(range(10, 30), 60.0) == [(20, "clear")]


def test_clear_for_is_for_unless_given() -> None:
    play = Play(make_rule(above=65, **{"for": "5s"}))
    play.samples(range(6), 70.0)
    assert play.samples(range(6, 20), 60.0) == [(11, "clear")]


def test_two_samples_ten_minutes_apart_are_not_sustained() -> None:
    play = Play(make_rule(above=65, **{"for": "30s"}))
    assert play.samples([0, 600], 70.0) == []
    assert play.state() is State.PENDING


@pytest.mark.parametrize(
    ("gap_s", "cadence_s", "fires"), [(10, 1, True), (10.5, 1, False), (15, 5, True), (15.5, 5, False)]
)
def test_a_gap_longer_than_three_cadences_or_ten_seconds_breaks_a_pending_onset(
    gap_s: float, cadence_s: float, fires: bool
) -> None:
    play = Play(make_rule(above=65, **{"for": "10s"}))
    play.sample(0, 70.0, cadence_s=cadence_s)
    assert (play.sample(gap_s, 70.0, cadence_s=cadence_s) == ["onset"]) is fires


@pytest.mark.parametrize("ticks", [(), (35, 41, 55)])
def test_a_viewer_who_makes_the_polls_faster_does_not_break_what_was_sampled_slowly(ticks: Sequence[int]) -> None:
    play = Play(make_rule(above=65, **{"for": "90s"}))
    for second in (0, 30):
        play.sample(second, 70.0, cadence_s=30.0)
    assert play.ticks(ticks) == []
    for second in range(56, 90):
        assert play.sample(second, 70.0, cadence_s=1.0) == []
    assert play.sample(90, 70.0, cadence_s=1.0) == ["onset"]


def test_an_interval_is_judged_by_the_cadence_it_began_with() -> None:
    play = Play(make_rule(above=65, **{"for": "40s"}))
    play.sample(0, 70.0, cadence_s=1.0)
    play.sample(30, 70.0, cadence_s=30.0)  # 30 s without a value while one was due every second
    assert play.sample(60, 70.0, cadence_s=30.0) == []
    assert play.sample(90, 70.0, cadence_s=1.0) == ["onset"]


@pytest.mark.parametrize(("fast_s", "cleared"), [(56, (90, "clear")), (50, (90, "clear"))])
def test_a_viewer_does_not_break_a_clear_either(fast_s: int, cleared: tuple[int, str]) -> None:
    play = Play(make_rule(above=65, clear_for="90s"))
    play.sample(-1, 70.0, cadence_s=30.0)
    for second in (0, 30):
        play.sample(second, 50.0, cadence_s=30.0)
    assert play.samples(range(fast_s, 100), 50.0)[:1] == [cleared]


def test_a_gap_breaks_a_clear_too() -> None:
    play = Play(make_rule(above=65, clear_for="10s"))
    play.sample(0, 70.0)
    play.sample(1, 60.0)
    assert play.sample(60, 60.0) == []
    assert play.samples(range(61, 75), 60.0) == [(70, "clear")]


def test_a_tick_drops_a_pending_onset_whose_samples_have_stopped() -> None:
    play = Play(make_rule(above=65, **{"for": "30s"}))
    play.sample(0, 70.0)
    play.tick(10)
    assert play.state() is State.PENDING
    play.tick(11)
    assert play.state() is State.INACTIVE


def test_time_alone_never_completes_an_onset() -> None:
    play = Play(make_rule(above=65, **{"for": "5s"}))
    play.samples(range(5), 70.0)
    assert play.ticks(range(5, 100)) == []


@pytest.mark.parametrize("quality", HOLDING)
def test_what_is_not_a_number_neither_fires_nor_sustains(quality: Quality) -> None:
    play = Play(make_rule(above=65, **{"for": "20s"}))
    assert play.sample(0, 90.0, quality) == []
    play.sample(1, 70.0)
    assert play.samples(range(2, 40), 90.0, quality) == []
    assert play.sample(40, 70.0) == []


@pytest.mark.parametrize("quality", HOLDING)
def test_missing_data_never_clears(quality: Quality) -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 70.0)
    assert play.samples(range(1, 100), 10.0, quality) == []
    assert play.ticks(range(100, 10_000, 7)) == []
    assert play.state() is State.FIRING


@pytest.mark.parametrize("value", [None, float("nan")])
def test_no_number_holds_whatever_its_quality(value: Value) -> None:
    play = Play(make_rule(above=65, clear_for="3s"))
    assert play.sample(0, value) == []
    play.sample(1, 70.0)
    play.samples([2, 3], 60.0)
    assert play.sample(4, value) == []
    assert play.sample(5, 60.0) == ["clear"]


def test_over_range_counts_as_exceeding() -> None:
    play = Play(make_rule(above=140))
    assert play.sample(0, None, Quality.OVER) == ["onset"]
    assert (play.last().value, play.last().reason) == (None, "over-range")


def test_over_range_is_the_highest_level() -> None:
    levels = [{"severity": "warning", "above": 65}, {"severity": "critical", "above": 75}]
    play = Play(make_rule(levels=levels))
    play.sample(0, 70.0, Quality.OVER)
    assert play.last().severity == "critical"


def test_over_range_on_a_below_rule_clears_only_what_it_proves() -> None:
    play = Play(make_rule(below=30))
    assert play.sample(0, 20.0, Quality.OVER) == []
    play.sample(1, 20.0)
    assert play.sample(2, 20.0, Quality.OVER) == []
    assert play.sample(3, 90.0, Quality.OVER) == ["clear"]


def test_the_end_of_a_run_clears_its_alert_and_drops_a_pending_one() -> None:
    play = Play(make_rule(metric="leq", above=65, clear_for="1h"))
    play.sample(0, 70.0, metric="leq")
    assert play.sample(1, 70.0, Quality.RUN_ENDED, metric="leq") == ["clear"]
    assert (play.last().reason, play.last().cleared_at, play.last().value) == ("run-ended", play.seen[-1].at, 70.0)
    pending = Play(make_rule(metric="leq", above=65, **{"for": "10s"}))
    pending.sample(0, 70.0, metric="leq")
    assert pending.sample(1, 70.0, Quality.RUN_ENDED, metric="leq") == []
    assert pending.state() is State.INACTIVE


def test_cooldown_holds_an_onset_back_until_the_moment_it_ends() -> None:
    play = Play(make_rule(above=65, cooldown="60s"))
    play.sample(0, 70.0)
    play.sample(1, 60.0)
    assert play.samples([50, 55, 59.9], 70.0) == []
    assert play.state() is State.PENDING
    assert play.tick(59.95) == []
    assert play.tick(60) == ["onset"]
    assert play.last().started_at == play.seen[-1].at


def test_cooldown_ends_in_silence_when_the_value_has_come_back() -> None:
    play = Play(make_rule(above=65, cooldown="60s"))
    play.sample(0, 70.0)
    play.sample(1, 60.0)
    play.sample(58, 70.0)
    play.sample(59, 64.0)
    assert play.ticks(range(59, 100)) == []


def test_cooldown_does_not_fire_on_a_value_from_before_a_gap() -> None:
    play = Play(make_rule(above=65, cooldown="60s"))
    play.sample(0, 70.0)
    play.sample(1, 60.0)
    play.sample(40, 70.0)
    assert play.ticks(range(41, 100)) == []


def test_cooldown_counts_from_onset_to_onset() -> None:
    play = Play(make_rule(above=65, cooldown="60s"))
    play.sample(0, 70.0)
    play.samples(range(1, 100), 70.0)
    play.sample(100, 60.0)
    assert play.sample(101, 70.0) == ["onset"]


def test_the_peak_is_kept_over_the_alerts_life_and_begins_anew_with_the_next() -> None:
    play = Play(make_rule(above=65, cooldown="0s"))
    for second, value in enumerate([66.0, 80.0, 70.0, 60.0]):
        play.sample(second, value)
    assert (play.last().peak, play.last().value) == (80.0, 60.0)
    play.sample(5, 67.0)
    assert play.last().peak == 67.0


def test_the_peak_counts_from_the_first_value_that_exceeded() -> None:
    play = Play(make_rule(above=65, **{"for": "2s"}))
    for second, value in enumerate([66.0, 80.0, 70.0]):
        play.sample(second, value)
    assert play.last().peak == 80.0


LEVELS = [
    {"severity": "info", "above": 60},
    {"severity": "warning", "above": 70},
    {"severity": "critical", "above": 80},
]


def test_severity_moves_up_and_down_with_the_levels() -> None:
    play = Play(make_rule(levels=LEVELS))
    steps: list[tuple[float, list[str]]] = [
        (75.0, ["onset"]),
        (81.0, ["level"]),
        (78.0, []),
        (77.9, ["level"]),
        (59.0, []),
        (57.9, ["clear"]),
    ]
    severities = []
    for second, (value, happens) in enumerate(steps):
        assert play.sample(second, value) == (happens if value != 59.0 else ["level"])
        severities.append(play.last().severity)
    assert severities == ["warning", "critical", "critical", "warning", "info", "info"]


def test_each_level_must_last_before_the_severity_moves_to_it() -> None:
    play = Play(make_rule(levels=LEVELS, **{"for": "10s"}, clear_for="5s"))
    happened = play.samples(range(8), 65.0) + play.samples(range(8, 30), 85.0)
    assert happened == [(10, "onset"), (18, "level")]
    assert [t.alert.severity for t in play.seen] == ["info", "critical"]
    happened = play.samples(range(30, 33), 75.0) + play.samples(range(33, 50), 50.0)
    assert happened == [(35, "level"), (38, "clear")]
    assert play.seen[-2].alert.severity == "warning"


def test_a_direct_jump_fires_at_the_level_that_was_sustained() -> None:
    play = Play(make_rule(levels=LEVELS, **{"for": "10s"}))
    assert play.samples(range(20), 85.0) == [(10, "onset")]
    assert (play.last().severity, play.last().threshold) == ("critical", 80.0)


def test_a_higher_severity_unacknowledges_and_a_lower_one_does_not() -> None:
    play = Play(make_rule(levels=LEVELS))
    play.sample(0, 65.0)
    assert play.last().id is not None
    play.note([play.engine.acknowledge(str(play.last().id), "ann", "on it", BEGIN, 0.0)])
    play.sample(1, 64.0)
    assert play.engine.open_alerts()[0].acknowledged_by == "ann"
    play.sample(2, 75.0)
    assert play.last().acknowledged_by is None
    assert play.last().comment is None
    play.note([play.engine.acknowledge(str(play.last().id), "ben", None, BEGIN, 0.0)])
    play.sample(3, 65.0)
    assert (play.last().severity, play.last().acknowledged_by) == ("info", "ben")


def test_no_data_alarms_after_silence_and_clears_when_values_return() -> None:
    play = Play(make_rule(above=65, no_data={"after": "60s", "action": "alarm"}))
    play.sample(5, 50.0)
    assert play.ticks(range(6, 100)) == [(65, "no_data")]
    assert (play.last().state, play.last().reason, play.last().sequence) == (State.FIRING, "no-data", 1)
    assert play.sample(100, 50.0) == ["clear"]
    assert (play.last().reason, play.last().sequence) == ("data-returned", 2)


def test_no_data_counts_from_the_start_where_no_value_ever_came() -> None:
    play = Play(make_rule(above=65, no_data={"after": "60s", "action": "alarm"}))
    assert play.ticks(range(100)) == [(60, "no_data")]


def test_values_that_return_and_exceed_turn_a_no_data_alert_into_an_onset() -> None:
    play = Play(make_rule(above=65, no_data={"after": "60s", "action": "alarm"}, **{"for": "3s"}))
    play.ticks(range(61))
    assert play.samples(range(61, 70), 70.0) == [(64, "onset")]
    first, second = play.seen
    assert (second.alert.id, second.alert.sequence, second.alert.reason) == (first.alert.id, 2, None)


def test_no_data_does_not_repeat_within_the_cooldown() -> None:
    play = Play(make_rule(above=65, no_data={"after": "10s", "action": "alarm"}, cooldown="60s"))
    assert play.ticks(range(12)) == [(10, "no_data")]
    play.sample(12, 50.0)
    assert play.ticks(range(13, 90)) == [(70, "no_data")]


def test_no_data_clears_only_where_the_rule_says_so() -> None:
    play = Play(make_rule(above=65, no_data={"after": "60s", "action": "clear"}))
    play.sample(0, 70.0)
    assert play.ticks(range(1, 100)) == [(60, "clear")]
    assert play.last().reason == "no-data"


def test_no_data_holds_while_an_alert_is_open_already() -> None:
    play = Play(make_rule(above=65, no_data={"after": "60s", "action": "alarm"}))
    play.sample(0, 70.0)
    assert play.ticks(range(1, 200)) == []


def test_frozen_values_are_silence_and_under_range_is_not() -> None:
    for quality, happens in ((Quality.FROZEN, [(60, "no_data")]), (Quality.UNDER, [])):
        play = Play(make_rule(above=65, no_data={"after": "60s", "action": "alarm"}))
        seen = [
            *((s, k) for s in range(100) for k in [*play.sample(s, 20.0, quality), *play.tick(s)]),
        ]
        assert seen == happens, quality


def test_a_closing_window_clears_what_fires_and_drops_what_is_pending() -> None:
    night = {"from": "21:00", "to": "22:01"}
    play = Play(make_rule(above=65, schedule=night))
    play.sample(0, 70.0)
    assert play.samples(range(1, 60), 70.0) == []
    assert play.sample(60, 70.0) == ["clear"]
    assert play.last().reason == "window-closed"
    assert play.samples(range(61, 70), 90.0) == []
    pending = Play(make_rule(above=65, schedule=night, **{"for": "10s"}))
    pending.samples(range(55, 60), 70.0)
    assert pending.tick(60) == []
    assert pending.state() is State.INACTIVE


def test_a_window_that_closes_in_silence_clears_on_the_tick() -> None:
    play = Play(make_rule(above=65, schedule={"from": "21:00", "to": "22:01"}))
    play.sample(0, 70.0)
    assert play.ticks(range(1, 100)) == [(60, "clear")]


def test_friday_night_covers_saturday_morning() -> None:
    rule = compile_rule(make_rule(above=65, schedule={"days": ["fri"], "from": "22:00", "to": "07:00"}), "UTC")
    alert = Alert("r", "unit/a", rule.hash, "lp")
    for moment, fires in (
        (datetime(2026, 3, 21, 6, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 21, 7, 0, tzinfo=UTC), False),
        (datetime(2026, 3, 20, 6, 0, tzinfo=UTC), False),
    ):
        after, _ = evaluate(rule, alert, Sample("unit/a", "lp", 70.0, moment, 0.0))
        assert after.is_open is fires


def test_unreachable_holds_everything() -> None:
    rule = compile_rule(make_rule(above=65, schedule={"from": "21:00", "to": "22:01"}), "UTC")
    alert = Alert("r", "unit/a", rule.hash, "lp", state=State.FIRING, id="x")
    late = BEGIN.replace(hour=23)
    tick = Sample("unit/a", "lp", None, late, 3600.0, Quality.UNREACHABLE, silent_s=3600.0)
    assert evaluate(rule, alert, tick) == (alert, None)


def test_a_wall_clock_that_steps_causes_no_transition() -> None:
    rule = compile_rule(make_rule(above=65, **{"for": "30s"}, no_data={"after": "60s", "action": "alarm"}), "UTC")
    alert = Alert("r", "unit/a", rule.hash, "lp")
    for second in range(29):
        wall = BEGIN.replace(hour=3 if second > 10 else 22)
        alert, transition = evaluate(rule, alert, Sample("unit/a", "lp", 70.0, wall, float(second)))
        assert transition is None


@pytest.mark.parametrize(
    ("fields", "bad", "good"),
    [
        ({"metric": "status_category", "equals": "DOWN"}, "DOWN", "PRODUCTIVE"),
        ({"metric": "status", "in": ["E10", "E20"]}, "E20", "RUN"),
        ({"metric": "lot_count", "equals": 0}, 0, 3),
        ({"metric": "age_s", "above": 600}, 601.0, 599.0),
    ],
)
def test_machines_fire_on_text_and_on_numbers(fields: dict[str, object], bad: Value, good: Value) -> None:
    metric = str(fields["metric"])
    play = Play(make_rule(**fields), subjects=["equipment/fab/M1"])
    assert play.sample(0, good, subject="equipment/fab/M1", metric=metric) == []
    assert play.sample(1, bad, subject="equipment/fab/M1", metric=metric) == ["onset"]
    assert play.sample(2, good, subject="equipment/fab/M1", metric=metric) == ["clear"]


def test_durations_survive_the_rounding_of_seconds_since_1970() -> None:
    rule = compile_rule(make_rule(above=65, **{"for": "0.3s"}), "UTC")
    for start in (1_774_000_000.1, 1_774_000_000.7, 1_774_000_123.3):
        alert = Alert("r", "unit/a", rule.hash, "lp")
        for step in range(4):
            alert, transition = evaluate(rule, alert, Sample("unit/a", "lp", 70.0, BEGIN, start + step * 0.1))
        assert transition is not None


STEPS_BACK = [timedelta(days=-730), timedelta(hours=-1), timedelta(seconds=-30), timedelta(milliseconds=-1)]


def seen_with_steps(*samples: tuple[float, float, timedelta]) -> list[Transition]:
    """The transitions on samples (second, value, how far the wall clock has been set by then)."""
    rule = compile_rule(make_rule(above=65, cooldown="0s"), "UTC")
    alert, seen = Alert("r", "unit/a", rule.hash, "lp"), []
    for second, value, step in samples:
        wall = BEGIN + timedelta(seconds=second) + step
        alert, transition = evaluate(rule, alert, Sample("unit/a", "lp", value, wall, 500.0 + second))
        seen += [transition] if transition is not None else []
    return seen


@pytest.mark.parametrize("step", STEPS_BACK)
def test_an_alert_never_clears_before_it_began(step: timedelta) -> None:
    onset, clear = seen_with_steps((0, 70.0, timedelta()), (12, 50.0, step))
    assert clear.alert.lasted == 12.0
    assert clear.alert.started_at == onset.at == BEGIN
    assert clear.at == clear.alert.cleared_at
    is_shown_as_it_was = step > timedelta(seconds=-1)
    assert clear.alert.cleared_at == BEGIN + timedelta(seconds=12) + (step if is_shown_as_it_was else timedelta())
    assert summarize(clear, None) == "a Lp 50.0 dB, cleared after 12 s, peak 70.0 dB"


def test_a_wall_clock_set_forward_lengthens_no_alert() -> None:
    _, clear = seen_with_steps((0, 70.0, timedelta()), (12, 50.0, timedelta(days=2)))
    assert (clear.alert.lasted, clear.alert.cleared_at) == (12.0, BEGIN + timedelta(days=2, seconds=12))
    assert "cleared after 12 s" in summarize(clear, None)


def test_an_alert_of_a_moment_does_not_clear_before_it_began_either() -> None:
    _, clear = seen_with_steps((0, 70.0, timedelta()), (0.5, 50.0, timedelta(seconds=-0.9)))
    assert (clear.alert.lasted, clear.at) == (0.5, BEGIN + timedelta(seconds=0.5))


def test_every_way_to_clear_knows_how_long_it_lasted() -> None:
    for quality, reason in ((Quality.RUN_ENDED, "run-ended"), (Quality.TICK, "no-data")):
        play = Play(make_rule(above=65, no_data={"after": "5s", "action": "clear"}))
        play.sample(0, 70.0)
        assert (play.tick(7) if quality is Quality.TICK else play.sample(7, 70.0, quality)) == ["clear"]
        assert (play.last().reason, play.last().lasted) == (reason, 7.0)
    lost = Play(make_rule(above=65, no_data={"after": "5s", "action": "alarm"}))
    assert (lost.tick(6), lost.sample(9, 50.0)) == (["no_data"], ["clear"])
    assert lost.last().lasted == 3.0


def test_an_onset_at_the_end_of_a_cooldown_keeps_reason_and_value() -> None:
    play = Play(make_rule(above=65, cooldown="60s"))
    play.sample(0, 70.0)
    play.sample(1, 50.0)
    play.samples(range(2, 59), 66.0)
    play.sample(59, 131.5, Quality.OVER)
    assert play.tick(60) == ["onset"]
    assert (play.last().reason, play.last().value, play.last().peak) == ("over-range", 131.5, 131.5)


def test_an_onset_at_the_end_of_a_cooldown_keeps_the_reason_of_the_newest_sample() -> None:
    play = Play(make_rule(metric="reachable", equals=False, cooldown="60s"))
    play.sample(0, False, metric="reachable", reason="refused")
    play.sample(1, True, metric="reachable")
    play.sample(50, False, metric="reachable", reason="mute")
    play.sample(55, False, metric="reachable", reason="wedged")
    assert play.tick(60) == ["onset"]
    assert (play.last().reason, play.last().value) == ("wedged", False)
    assert play.sample(61, True, metric="reachable") == ["clear"]
    assert play.last().reason is None


@pytest.mark.parametrize("ticks", [(), (11, 15)])
@pytest.mark.parametrize(("side", "first", "later"), [("above", 90.0, 70.0), ("below", 30.0, 60.0)])
def test_the_peak_of_a_pending_onset_that_broke_is_not_that_of_the_next(
    ticks: Sequence[int], side: str, first: float, later: float
) -> None:
    play = Play(make_rule(**{side: 65, "for": "10s"}))
    play.sample(0, first)
    play.ticks(ticks)
    assert play.samples(range(20, 31), later) == [(30, "onset")]
    assert play.last().peak == later


def test_the_peak_of_an_open_alert_outlasts_a_gap() -> None:
    play = Play(make_rule(above=65))
    play.sample(0, 90.0)
    play.sample(20, 70.0)
    assert play.sample(21, 50.0) == ["clear"]
    assert play.last().peak == 90.0


def test_a_windowed_value_partly_under_range_is_a_number_and_says_how_it_was_made() -> None:
    play, basis = Play(make_rule(metric="laeq_15m", above=65)), WindowBasis(900, 0.98, ("under",))

    def level(second: float, value: float) -> list[str]:
        moment = Sample("unit/a", "laeq_15m", value, *at(second), Quality.UNDER, window=basis)
        return play.note(play.engine.observe(moment, moment.time))

    assert level(0, 64.0) == []
    assert level(1, 65.2) == ["onset"]
    assert play.last().window == basis
    how = "(from Lp, 900 samples, coverage 0.98, partly under range)"
    assert summarize(play.seen[-1], None) == f"a Leq,15min 65.2 dB > 65.0 dB {how}"
    assert level(2, 62.9) == ["clear"]
