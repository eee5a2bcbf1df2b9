from hypothesis import given
from hypothesis import strategies as st

from hub.readings.ranking import Ranking

PERCENTS = frozenset({10, 50, 90})
levels = st.sampled_from([20.0, 50.0, 50.1, 61.3, 80.0]) | st.floats(20, 120)


@given(st.lists(st.tuples(levels, st.integers(1, 60)), min_size=1), st.integers(1, 20))
def test_a_level_is_exceeded_as_long_as_its_percentile_says(spent: list[tuple[float, int]], held: int) -> None:
    """Time comes and, `held` entries later, goes again."""
    ranking = Ranking(PERCENTS)
    for n, (level, time) in enumerate(spent):
        ranking.add(level, time)
        if n >= held:
            gone, for_ = spent[n - held]
            ranking.add(gone, -for_)
        here = spent[max(0, n - held + 1) : n + 1]
        whole = sum(time for _, time in here)
        assert ranking.total == whole
        if n % 3:
            continue  # a percentile need not be asked for each time
        for percent in PERCENTS:
            found = ranking.exceeded(percent)
            assert sum(time for level, time in here if level > found) * 100 <= percent * whole
            assert sum(time for level, time in here if level >= found) * 100 > percent * whole


def test_all_time_can_go_and_other_time_come() -> None:
    ranking = Ranking(PERCENTS)
    for level in (50.0, 70.0, 60.0):
        ranking.add(level, 10)
        assert ranking.exceeded(10) == level
        ranking.add(level, -10)
        assert ranking.total == 0
