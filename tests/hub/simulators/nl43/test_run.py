"""Totals of a run."""

import pytest

from hub.simulators.nl43.run import Run
from hub.simulators.nl43.waveform import constant, steps

PERCENTILES = (5, 10, 50, 90, 95)


def test_le_is_leq_plus_ten_log_of_the_time() -> None:
    run = Run(100.0, None)
    run.advance(110.0, constant(43.7))
    totals = run.totals(PERCENTILES)
    assert totals is not None
    assert totals.leq == pytest.approx(43.7)
    assert totals.le == pytest.approx(53.7)
    assert (totals.lmax, totals.lmin, totals.ln) == (43.7, 43.7, (43.7,) * 5)
    assert totals.lpeak > totals.lmax


def test_totals_do_not_depend_on_how_often_they_are_asked() -> None:
    wave = steps([(0.0, 50.0), (2.0, 80.0), (4.0, 60.0)])
    once, often = Run(0.0, None), Run(0.0, None)
    once.advance(10.0, wave)
    for second in range(1, 11):
        often.advance(float(second), wave)
        often.totals(PERCENTILES)
    first, last = once.totals(PERCENTILES), often.totals(PERCENTILES)
    assert first is not None
    assert last is not None
    assert last.ln == first.ln
    assert last[:4] == pytest.approx(first[:4])


def test_percentiles_are_levels_exceeded_that_share_of_the_time() -> None:
    run = Run(0.0, None)
    run.advance(10.0, lambda t: 80.0 if t < 2.0 else 50.0)
    totals = run.totals((5, 19, 21, 95))
    assert totals is not None
    assert totals.ln == (80.0, 80.0, 50.0, 50.0)


def test_lmax_never_falls_during_a_run() -> None:
    run = Run(0.0, None)
    run.advance(1.0, constant(90.0))
    run.advance(60.0, constant(40.0))
    totals = run.totals(PERCENTILES)
    assert totals is not None
    assert (totals.lmax, totals.lmin) == (90.0, 40.0)


def test_a_run_ends_by_itself_at_its_preset() -> None:
    run = Run(0.0, 10.0)
    run.advance(9.0, constant(50.0))
    assert run.is_running
    run.advance(60.0, lambda t: 50.0 if t < 10.0 else 99.0)
    assert not run.is_running
    totals = run.totals(PERCENTILES)
    assert totals is not None
    assert totals.le == pytest.approx(60.0)
    assert totals.lmax == 50.0


def test_a_pause_is_not_measured() -> None:
    run = Run(0.0, None)
    run.advance(1.0, constant(50.0))
    run.is_paused = True
    run.advance(5.0, constant(90.0))
    run.is_paused = False
    run.advance(6.0, constant(50.0))
    totals = run.totals(PERCENTILES)
    assert totals is not None
    assert totals.lmax == 50.0
    assert totals.le == pytest.approx(53.0, abs=0.02)


def test_there_is_no_result_before_anything_was_measured() -> None:
    assert Run(0.0, None).totals(PERCENTILES) is None
