from math import log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.windows import LevelWindows

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
