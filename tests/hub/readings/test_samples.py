from datetime import UTC, datetime

import pytest

from alerts.model.sample import Quality, WindowBasis
from hub.readings.reading import Reading
from hub.readings.samples import UnitSampler
from hub.readings.snapshot import Failure, PollFailure, RunState, Snapshot
from hub.readings.windows import LOWER_END_DB, LpReading

AT = datetime(2026, 3, 18, 22, 14, 7, tzinfo=UTC)
NOTHING: Reading = Reading._make([None] * 16 + [""])


def snapshot(reading: Reading, run_state: RunState | None = "Start", time: float = 1.0) -> Snapshot:
    return Snapshot("gate-a", 7, AT, time, reading, run_state, None, (), 1.0)


def one(sampler: UnitSampler, event: Snapshot | PollFailure) -> tuple[object, Quality]:
    (sample,) = sampler.samples(event)
    assert sample.subject == "unit/gate-a"
    return sample.value, sample.quality


def test_only_what_a_rule_needs_is_sampled() -> None:
    sampler = UnitSampler("gate-a", frozenset({"lp", "reachable"}))
    samples = sampler.samples(snapshot(NOTHING._replace(lp=61.5, leq=60.0)))
    assert [(s.metric, s.value) for s in samples] == [("reachable", True), ("lp", 61.5)]


def test_a_missing_level_is_missing_and_not_a_number() -> None:
    assert one(UnitSampler("gate-a", frozenset({"lp"})), snapshot(NOTHING)) == (None, Quality.MISSING)


def test_flags_become_qualities() -> None:
    sampler = UnitSampler("gate-a", frozenset({"lp"}))
    assert one(sampler, snapshot(NOTHING._replace(lp=130.0, over=True))) == (130.0, Quality.OVER)
    assert one(sampler, snapshot(NOTHING._replace(lp=20.0, under=True))) == (20.0, Quality.UNDER)


def test_a_run_total_is_worth_what_the_run_state_says() -> None:
    sampler = UnitSampler("gate-a", frozenset({"lmax"}))
    reading = NOTHING._replace(lp=50.0, lmax=88.0)
    assert one(sampler, snapshot(reading, "Start")) == (88.0, Quality.OK)
    assert one(sampler, snapshot(reading, "Stop")) == (88.0, Quality.RUN_ENDED)
    assert one(sampler, snapshot(reading, None)) == (88.0, Quality.UNKNOWN_RUN)


def test_reachability_is_told_only_once_known() -> None:
    sampler = UnitSampler("gate-a", frozenset({"reachable"}))
    failed = PollFailure("gate-a", AT, 1.0, Failure.MUTE, False, 10.0)
    (sample,) = sampler.samples(failed)
    assert (sample.value, sample.reason, sample.cadence_s) == (False, "mute", 10.0)
    assert sampler.samples(failed._replace(reachable=None)) == []


def test_a_restart_does_not_blind_a_window() -> None:
    sampler = UnitSampler("gate-a", frozenset({"laeq_1m"}))
    sampler.refill([LpReading(70.0, AT.timestamp() - 60 + second, 1.0) for second in range(60)], AT.timestamp())
    assert one(sampler, snapshot(NOTHING._replace(lp=70.0), time=AT.timestamp())) == (70.0, Quality.OK)


def test_new_windows_ask_to_be_refilled_and_others_do_not() -> None:
    sampler = UnitSampler("gate-a", frozenset({"lp"}))
    assert sampler.need(frozenset({"lp", "laeq_1m"})) is True
    assert sampler.need(frozenset({"lmax", "laeq_1m"})) is False


def test_what_is_measured_while_windows_are_refilled_does_not_keep_the_past_out() -> None:
    sampler, now_s = UnitSampler("gate-a", frozenset({"laeq_1m"})), AT.timestamp()
    for second in range(3):
        sampler.samples(snapshot(NOTHING._replace(lp=70.0), time=now_s + second))
    stored = [LpReading(60.0, now_s - 60 + second, 1.0) for second in range(62)]  # some of those of now among them
    sampler.refill(stored, now_s + 2)
    assert one(sampler, snapshot(NOTHING._replace(lp=70.0), time=now_s + 3)) == (62.0, Quality.OK)


def test_readings_stored_ahead_of_now_do_not_stop_a_window() -> None:
    sampler, now_s = UnitSampler("gate-a", frozenset({"laeq_1m"})), AT.timestamp()
    sampler.refill([LpReading(90.0, now_s + 3600 + second, 1.0) for second in range(60)], now_s)
    for second in range(60):
        seen = one(sampler, snapshot(NOTHING._replace(lp=50.0), time=now_s + second))
    assert seen == (50.0, Quality.OK)


def test_a_windowed_sample_says_how_it_was_made() -> None:
    sampler = UnitSampler("gate-a", frozenset({"laeq_1m"}))
    for second in (*range(50), *range(51, 60)):
        (sample,) = sampler.samples(snapshot(NOTHING._replace(lp=70.0), time=float(second)))
    assert sample.window == WindowBasis(59, 0.99)
    (early,) = UnitSampler("gate-a", frozenset({"laeq_1m"})).samples(snapshot(NOTHING._replace(lp=70.0)))
    assert (early.value, early.quality, early.window) == (None, Quality.MISSING, WindowBasis(1, 0.02))


@pytest.mark.parametrize("shown", [25.0, None])
def test_quiet_minutes_under_range_are_part_of_a_mean_and_flagged(shown: float | None) -> None:
    sampler = UnitSampler("gate-a", frozenset({"laeq_15m", "la90_15m"}))
    for second in range(600):
        sampler.samples(snapshot(NOTHING._replace(lp=shown, under=True), time=float(second)))
    for second in range(600, 900):
        samples = sampler.samples(snapshot(NOTHING._replace(lp=70.0), time=float(second)))
    assert [(s.metric, s.value, s.quality) for s in samples] == [
        ("la90_15m", shown or LOWER_END_DB, Quality.UNDER),
        ("laeq_15m", 65.2, Quality.UNDER),
    ]
    assert samples[0].window == WindowBasis(900, 1.0, ("under",))


def test_a_level_over_range_is_part_of_a_mean_and_flagged_but_alone_exceeds_nothing() -> None:
    sampler = UnitSampler("gate-a", frozenset({"laeq_1m"}))
    for second in range(60):
        reading = NOTHING._replace(lp=130.0 if second == 30 else 50.0, over=second == 30)
        (sample,) = sampler.samples(snapshot(reading, time=float(second)))
    assert (sample.value, sample.quality) == (112.2, Quality.OK)
    assert sample.window == WindowBasis(60, 1.0, ("over",))


@pytest.mark.parametrize(("shown", "level"), [(131.5, 119.7), (None, 128.2)])
def test_loud_seconds_over_range_are_part_of_a_mean_where_the_meter_shows_no_level(
    shown: float | None, level: float
) -> None:
    sampler = UnitSampler("gate-a", frozenset({"laeq_1m"}))
    for second in range(60):
        reading = NOTHING._replace(lp=50.0)
        if second in (30, 31, 32, 33):
            reading = NOTHING._replace(lp=shown if second == 30 else None, over=True)
        (sample,) = sampler.samples(snapshot(reading, time=float(second)))
    assert (sample.value, sample.window) == (level, WindowBasis(60, 1.0, ("over",)))


def test_the_end_of_the_range_a_meter_has_shown_is_known_after_a_restart() -> None:
    sampler, now_s = UnitSampler("gate-a", frozenset({"la90_15m"})), AT.timestamp()
    for second in range(400):
        sampler.samples(snapshot(NOTHING._replace(lp=70.0), time=now_s + second))
    sampler.refill([LpReading(27.5, now_s - 500 + n, 1.0, under=True) for n in range(500)], now_s)
    for second in range(400, 900):
        (sample,) = sampler.samples(snapshot(NOTHING._replace(under=True), time=now_s + second))
    assert sample.value == 27.5
