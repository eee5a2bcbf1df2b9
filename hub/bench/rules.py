"""`hub bench rules`: measures the alert engine with many rules on many units."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.config.rule import Rule
from alerts.model.sample import Sample
from alerts.rules.engine import Engine
from hub.bench.timing import unit_id
from hub.readings.samples import unit_subject


def run_rules(units: int, rules: int, rounds: int) -> dict[str, Any]:
    """Evaluate `rules` on each of `units` for `rounds` readings; in the last round one rule fires on all units."""
    start, steady_s = datetime(2026, 3, 18, 22, tzinfo=UTC), 1000.0
    engine = Engine("UTC")
    configured = [
        Rule.model_validate({"name": f"r{n}", "metric": "lp", "above": 80 + n, "cooldown": "0s"})
        for n in range(rules)
    ]
    engine.set_rules(configured, start, steady_s)
    for index in range(units):
        engine.add_subject(unit_subject(unit_id(index)), {}, start, steady_s)

    def play(second: int, lp: float) -> tuple[float, int]:
        at, time_s = start + timedelta(seconds=second), steady_s + second
        samples = [Sample(unit_subject(unit_id(index)), "lp", lp, at, time_s) for index in range(units)]
        began_s, fired = time.perf_counter(), 0
        for sample in samples:
            fired += len(engine.observe(sample, time_s))
        return time.perf_counter() - began_s, fired

    idle_s = sum(play(second, 60.0)[0] for second in range(rounds))
    began_s = time.perf_counter()
    engine.tick(start + timedelta(seconds=rounds), steady_s + rounds)
    tick_s = time.perf_counter() - began_s
    onset_s, fired = play(rounds, 80.5)
    return {
        "units": units,
        "rules": rules,
        "evaluations_per_s": round(units * rules * rounds / idle_s),
        "evaluation_us": round(idle_s / (units * rules * rounds) * 1e6, 3),
        "tick_ms": round(tick_s * 1000, 3),
        "onsets": fired,
        "onset_us": round(onset_s / max(fired, 1) * 1e6, 1),
    }
