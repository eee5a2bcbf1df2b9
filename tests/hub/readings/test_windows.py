from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.readings.windows import LevelWindows, LpReading

levels = st.lists(st.floats(20, 120), min_size=60, max_size=2500)


def energy_mean(values: list[float]) -> float:
    return 10 * log10(sum(10 ** (v / 10) for v in values) / len(values))


@given(levels)
def test_laeq_is_the_energy_mean_of_the_last_minute(lps: list[float]) -> None:
    windows = LevelWindows(frozenset({"laeq_1m"}))
    for second, lp in enumerate(lps):
        windows.add(lp, float(second), 1.0)
    assert windows.values(float(len(lps) - 1))["laeq_1m"] == pytest.approx(energy_mean(lps[-60:]), abs=0.051)


@given(st.lists(st.floats(20, 120), min_size=900, max_size=1200))
def test_percentiles_are_levels_exceeded(lps: list[float]) -> None:
    windows = LevelWindows(frozenset({"la10_15m", "la90_15m"}))
    for second, lp in enumerate(lps):
        windows.add(lp, float(second), 1.0)
    values = windows.values(float(len(lps) - 1))
    window = lps[-900:]
    for name, percent in (("la10_15m", 10), ("la90_15m", 90)):
        level = values[name]
        assert level is not None
        assert sum(lp > level for lp in window) <= 900 * percent / 100
        assert sum(lp >= level for lp in window) >= 900 * percent / 100


def test_a_window_that_is_mostly_unmeasured_has_no_value() -> None:
    windows = LevelWindows(frozenset({"laeq_1m"}))
    for second in range(44):
        windows.add(70.0, float(second), 1.0)
    assert windows.values(43.0)["laeq_1m"] is None
    windows.add(70.0, 44.0, 1.0)
    assert windows.values(44.0)["laeq_1m"] == 70.0


def test_a_gap_is_not_covered_by_the_reading_after_it() -> None:
    windows = LevelWindows(frozenset({"laeq_1m"}))
    for second in [*range(10), *range(50, 60)]:
        windows.add(70.0, float(second), 1.0)
    assert windows.values(60.0)["laeq_1m"] is None


def test_values_leave_the_window_as_time_passes_without_readings() -> None:
    windows = LevelWindows(frozenset({"laeq_1m"}))
    for second in range(60):
        windows.add(70.0, float(second), 1.0)
    assert windows.values(60.0)["laeq_1m"] == 70.0
    assert windows.values(200.0)["laeq_1m"] is None


@pytest.mark.parametrize("interval_s", [2.5, 5.0, 8.0, 30.0, 60.0])
def test_slow_readings_cover_a_window(interval_s: float) -> None:
    windows = LevelWindows(frozenset({"laeq_15m", "la10_15m"}))
    for n in range(round(1000 / interval_s)):
        windows.add(80.0, n * interval_s, interval_s)
    assert windows.values(n * interval_s) == {"laeq_15m": 80.0, "la10_15m": 80.0}


@pytest.mark.parametrize("interval_s", [7.0, 10.0, 30.0, 60.0, 90.0])
def test_fewer_than_ten_readings_are_no_window_whatever_they_cover(interval_s: float) -> None:
    windows = LevelWindows(frozenset({"laeq_1m"}))
    for n in range(40):
        windows.add(80.0, n * interval_s, interval_s)
        assert windows.values(n * interval_s) == {"laeq_1m": None}


def test_a_viewer_who_makes_polls_faster_does_not_uncover_the_interval_before() -> None:
    windows = LevelWindows(frozenset({"laeq_5m"}))
    for second in (*range(0, 240, 30), *range(236, 240)):
        windows.add(70.0, float(second), 30.0 if second < 236 and second % 30 == 0 else 1.0)
    (made,) = windows.levels(239.0)
    assert made[2].coverage == round((30 + 210 + 29) / 300, 2)


def test_polls_that_become_slower_leave_no_hole_and_cover_no_gap() -> None:
    windows = LevelWindows(frozenset({"laeq_1m"}))
    for second in (*range(10), 10, 40):
        windows.add(70.0, float(second), 1.0 if second < 10 else 30.0)
    (_, _, basis) = next(windows.levels(40.0))
    assert (basis.samples, basis.coverage) == (12, round(41 / 60, 2))
    gap = LevelWindows(frozenset({"laeq_1m"}))
    for second in (*range(10), 40):
        gap.add(70.0, float(second), 1.0)
    assert next(gap.levels(40.0))[2].coverage == round(11.5 / 60, 2)


def test_percentiles_weigh_time_and_not_readings() -> None:
    windows = LevelWindows(frozenset({"la10_15m", "la90_15m"}))
    for second in range(0, 250, 10):
        windows.add(80.0, float(second), 10.0)
    for second in range(250, 700):
        windows.add(50.0, float(second), 1.0)
    assert windows.values(699.0) == {"la10_15m": 80.0, "la90_15m": 50.0}


paces = st.lists(st.tuples(st.floats(20, 120), st.sampled_from([0.25, 1.0, 2.0, 10.0, 30.0])), max_size=300)


@given(paces)
def test_means_and_percentiles_are_those_of_the_time_covered(paces: list[tuple[float, float]]) -> None:
    windows, time, seen = LevelWindows(frozenset({"laeq_5m", "la10_15m", "la90_15m"})), 0.0, []
    for lp, interval_s in paces:
        time += interval_s
        windows.add(lp, time, interval_s)
        seen.append((lp, interval_s, time))
    values = windows.values(time)
    for name, seconds in (("laeq_5m", 300.0), ("la10_15m", 900.0), ("la90_15m", 900.0)):
        here = [(lp, weight) for lp, weight, at in seen if at > time - seconds]
        whole = sum(weight for _, weight in here)
        level = values[name]
        assert (level is not None) == (whole >= 0.75 * seconds and len(here) >= 10)
        if level is None:
            continue
        if name == "laeq_5m":
            mean = 10 * log10(sum(weight * 10 ** (lp / 10) for lp, weight in here) / whole)
            assert level == pytest.approx(mean, abs=0.051)
        else:
            percent = 10 if name == "la10_15m" else 90
            assert sum(weight for lp, weight in here if lp > level) <= whole * percent / 100 + 1e-6
            assert sum(weight for lp, weight in here if lp >= level) >= whole * percent / 100 - 1e-6


@given(paces.filter(bool), st.integers(0, 300))
def test_windows_filled_again_are_those_that_were(paces: list[tuple[float, float]], cut: int) -> None:
    names = frozenset({"laeq_5m", "la10_15m", "la90_15m"})
    whole, late, time = LevelWindows(names), LevelWindows(names), 0.0
    stored = []
    for n, (lp, interval_s) in enumerate(paces):
        time += interval_s
        whole.add(lp, time, interval_s)
        stored.append(LpReading(lp, time, interval_s))
        if n >= cut:
            late.add(lp, time, interval_s)
    assert list(late.after(stored, time + 1).levels(time)) == list(whole.levels(time))
