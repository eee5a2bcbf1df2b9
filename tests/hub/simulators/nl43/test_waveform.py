"""The levels that a simulated meter measures."""

import pytest

from hub.simulators.nl43.waveform import RandomWalk, constant, sine, steps


def test_a_constant_never_moves() -> None:
    assert [constant(72.0)(t) for t in (0.0, 1.0, 1e6)] == [72.0] * 3


def test_a_sine_swings_around_its_mean() -> None:
    wave = sine(60.0, 5.0, 4.0)
    assert [round(wave(t), 6) for t in (0, 1, 2, 3)] == [60.0, 65.0, 60.0, 55.0]


def test_a_step_holds_until_the_next() -> None:
    wave = steps([(1.0, 50.0), (2.0, 80.0)])
    assert [wave(t) for t in (0.0, 1.0, 1.99, 2.0, 9.0)] == [50.0, 50.0, 50.0, 80.0, 80.0]


def test_steps_need_a_step() -> None:
    with pytest.raises(ValueError, match="at least one"):
        steps([])


def test_a_walk_is_a_function_of_time_and_seed_alone() -> None:
    walk, again, other = RandomWalk(seed=7), RandomWalk(seed=7), RandomWalk(seed=8)
    times = [0.0, 0.5, 3.25, 60.0, 600.0]
    levels = [walk(t) for t in times]
    assert [again(t) for t in reversed(times)] == levels[::-1]
    assert [other(t) for t in times] != levels
    assert len(set(levels)) == len(times)
    assert all(20 < walk(t) < 80 for t in range(0, 3600, 60))
