"""Replaying a rule over samples."""

from datetime import timedelta
from typing import Any

from alerts.model.sample import Sample
from alerts.testing.replay import replay
from tests.alerts.play import BEGIN, BEGIN_S, make_rule


def decided(levels: list[float], until_s: int, **rule: Any) -> list[tuple[int, str, str | None]]:
    """Replay one level a second; the second, type and reason of each transition."""
    samples = [
        Sample("unit/a", "lp", level, BEGIN + timedelta(seconds=second), BEGIN_S + second)
        for second, level in enumerate(levels, 1)
    ]
    end = BEGIN + timedelta(seconds=until_s)
    found = replay(make_rule(above=65, cooldown="0s", **rule), "unit/a", {}, "UTC", samples, BEGIN, end)
    return [((t.at - BEGIN).seconds, t.type.removeprefix("alert."), t.alert.reason) for t in found]


def test_a_replay_decides_as_the_hub_would_have() -> None:
    assert decided([60.0, 70.0, 70.0, 60.0], 4) == [(2, "onset", None), (4, "clear", None)]


def test_time_passes_after_the_last_sample_up_to_the_end() -> None:
    silent = {"no_data": {"after": "10s", "action": "alarm"}}
    assert decided([60.0], 10, **silent) == []
    assert decided([60.0], 11, **silent) == [(11, "no_data", "no-data")]
