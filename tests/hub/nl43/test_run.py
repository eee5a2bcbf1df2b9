"""What the totals of a run tell, over runs of the simulated meter and over all lengths of time."""

from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.nl43.fields import parse_dod
from hub.nl43.run import RunTotals
from hub.readings.reading import Reading
from hub.simulators.nl43.meter import Meter
from hub.simulators.nl43.options import MeterOptions
from hub.simulators.nl43.waveform import RandomWalk, constant
from tests.hub.fake_link import READING


def totals(seconds: float, leq: float = 60.0) -> Reading:
    """The totals of a run that is `seconds` long."""
    return READING._replace(leq=round(leq, 1), le=round(leq + 10 * log10(seconds), 1))


@given(st.floats(30.0, 100.0), st.floats(0.05, 3e6), st.sampled_from([0.1, 1.0, 10.0, 60.0]), st.integers(2, 300))
def test_a_run_that_goes_on_is_never_taken_for_another_nor_for_frozen(
    leq: float, length_s: float, cadence_s: float, count: int
) -> None:
    run = RunTotals()
    for number in range(count):
        elapsed_s = number * cadence_s
        evidence = run.add(totals(length_s + elapsed_s, leq), 1e6 + elapsed_s)
        assert not evidence.has_restarted
        assert not evidence.is_frozen
        assert run.started_s is not None
        assert abs(run.started_s - (1e6 - length_s)) <= 0.024 * (length_s + elapsed_s) + 1.1


@given(st.floats(1.0, 1e5), st.floats(30.0, 100.0))
def test_the_totals_of_a_run_that_is_over_are_frozen_after_some_6_percent_of_its_length(
    length_s: float, leq: float
) -> None:
    run = RunTotals()
    reading = totals(length_s, leq)
    run.add(reading, 0.0)
    assert not run.add(reading, 0.04 * length_s).is_frozen
    assert run.add(reading, 0.063 * length_s + 2.1).is_frozen


@given(st.floats(10.0, 1e6), st.floats(0.05, 0.9))
def test_a_shorter_run_is_another_one(length_s: float, share: float) -> None:
    run = RunTotals()
    run.add(totals(length_s), 1000.0)
    evidence = run.add(totals(share * length_s), 1001.0)
    assert evidence.has_restarted
    assert run.started_s == pytest.approx(1001.0 - share * length_s, rel=0.03, abs=0.03 * length_s)


def test_a_longer_run_that_lies_between_two_readings_is_another_one() -> None:
    run = RunTotals()
    run.add(totals(10.0), 0.0)
    assert run.add(totals(100.0), 600.0).has_restarted
    assert run.started_s == pytest.approx(500.0, abs=4)


def test_the_first_estimate_is_held_until_another_is_twice_as_exact() -> None:
    meter = Meter(MeterOptions(waveform=RandomWalk(mean=60.0, seed=3), running=True), 0.0)
    run, seen = RunTotals(), []
    for second in range(900, 4500):
        run.add(parse_dod(meter.dod_line(second)), float(second))
        if run.started_s not in seen:
            seen.append(run.started_s)
    assert abs(seen[0] or 1e9) <= 0.024 * 900 + 1
    assert len(seen) <= 5
    assert abs(seen[-1] or 1e9) <= 10


def test_when_a_run_began_is_held_over_a_restart_of_the_hub_if_it_fits() -> None:
    run = RunTotals()
    run.presume(-3600.4)
    run.add(totals(3600.0), 0.0)
    run.add(totals(3700.0), 100.0)
    assert run.started_s == -3600.4
    run = RunTotals()
    run.presume(-7200.0)
    run.add(totals(3600.0), 0.0)
    assert run.started_s == pytest.approx(-3600.0, rel=0.024)


def test_a_pause_does_not_move_the_start() -> None:
    run = RunTotals()
    for second in range(100, 200):
        run.add(totals(second), float(second))
    began_s = run.started_s
    for second in range(500, 2000):
        assert not run.add(totals(second - 300), float(second)).has_restarted
    assert run.started_s == began_s


@pytest.mark.parametrize(("leq", "le"), [(None, 70.0), (60.0, None), (None, None), (60.0, 200.0), (100.0, 20.0)])
def test_without_a_length_nothing_is_claimed(leq: float | None, le: float | None) -> None:
    run = RunTotals()
    for second in range(100):
        evidence = run.add(READING._replace(leq=leq, le=le), float(second))
        assert not evidence.is_frozen
        assert not evidence.has_restarted
        assert run.started_s is None


def test_totals_that_come_and_go_have_not_moved() -> None:
    run = RunTotals()
    run.add(totals(100.0), 0.0)
    assert not run.add(READING, 1.0).has_moved
    evidence = run.add(totals(100.0), 2.0)
    assert not evidence.has_moved
    assert not evidence.is_same
    assert run.add(totals(100.0), 3.0).is_same


def test_a_constant_level_moves_the_totals_too() -> None:
    meter = Meter(MeterOptions(waveform=constant(40.0), running=True), 0.0)
    run = RunTotals()
    assert not any(run.add(parse_dod(meter.dod_line(s)), float(s)).is_frozen for s in range(1, 7200))
