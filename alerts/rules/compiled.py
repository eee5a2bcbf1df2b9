"""Compiles a rule: its condition into functions, its durations into seconds, its schedule into a window."""

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from alerts.config.rule import Rule, Severity
from alerts.config.schedule import Window
from alerts.model.alert import Alert
from alerts.model.metrics import metric_of
from alerts.model.sample import Quality, Sample, Value

NO_DATA = "no-data"
SLACK_S = 1e-6  # float seconds at the scale of the epoch are this exact
LEAST_GAP_S = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """What `evaluate` needs of a rule. A condition is one or more levels; all but `levels` rules have one."""

    rule: Rule
    hash: str
    exceeded: Callable[[Any], int]  # value -> how many levels it exceeds
    held: Callable[[Any], int]  # value -> how many levels it is not clear of
    severities: tuple[Severity, ...]  # of each level
    thresholds: tuple[Value, ...]
    sense: Literal["above", "below", "is"]
    for_s: float
    clear_for_s: float
    window: Window | None

    def weigh(self, sample: Sample) -> tuple[int, int] | None:
        """How many levels the sample exceeds and how many it is not clear of; None where it decides nothing."""
        value = sample.value
        if sample.quality is Quality.OVER:
            if self.sense == "above":
                return len(self.thresholds), len(self.thresholds)
            # An over-range value is a lower bound: it can prove a `below` rule clear, and nothing else.
            return (0, 0) if self.sense == "below" and value is not None and self.held(value) == 0 else None
        is_number = sample.quality is Quality.OK or (sample.quality is Quality.UNDER and sample.window is not None)
        if not is_number or value is None or value != value:
            return None
        return self.exceeded(value), self.held(value)

    def levels_on(self, alert: Alert) -> int:
        """How many levels of an alert are on: 0 while it is not open, and for a no-data alert."""
        if not alert.is_open or alert.reason == NO_DATA:
            return 0
        return self.severities.index(alert.severity) + 1 if len(self.severities) > 1 else 1


def compile_rule(rule: Rule, default_timezone: str) -> CompiledRule:
    """Compile a rule; `default_timezone` is the hub's, for schedules that name none."""
    exceeded, held, sense = _condition(rule)
    levels = rule.levels or ()
    single = next((x for x in (rule.above, rule.below, rule.equals) if x is not None), None)
    return CompiledRule(
        rule=rule,
        hash=rule_hash(rule),
        exceeded=exceeded,
        held=held,
        severities=tuple(level.severity for level in levels) or (rule.severity,),
        thresholds=tuple(level.above for level in levels) or (single,),
        sense=sense,
        for_s=rule.for_ - SLACK_S,
        clear_for_s=rule.clear_for_s - SLACK_S,
        window=Window(rule.schedule, default_timezone) if rule.schedule else None,
    )


def _condition(rule: Rule) -> tuple[Callable[[Any], int], Callable[[Any], int], Literal["above", "below", "is"]]:
    sign = -1.0 if rule.below is not None else 1.0
    if rule.levels is not None:
        onsets = tuple(level.above for level in rule.levels)
    elif rule.above is not None:
        onsets = (rule.above,)
    elif rule.below is not None:
        onsets = (-rule.below,)
    else:
        members = frozenset(rule.in_ if rule.in_ is not None else (rule.equals,))

        def is_member(value: Any) -> int:
            return 1 if value in members else 0

        return is_member, is_member, "is"
    # Rounded: in floats 64.3 - 2 is not 62.3.
    clears = tuple(round(onset - rule.margin, 9) for onset in onsets)

    def exceeded(value: Any) -> int:
        return bisect_left(onsets, sign * value)

    def held(value: Any) -> int:
        return bisect_right(clears, sign * value)

    return exceeded, held, "below" if rule.below is not None else "above"


def rule_hash(rule: Rule) -> str:
    """A hash of the settings that decide, the same in every process: without severity and receivers."""
    decides = rule.model_dump(
        mode="json",
        include={"match", "units", "equipment", "metric", "above", "below", "equals", "in_", "levels", "for_"}
        | {"cooldown", "no_data", "schedule"},
    )
    decides |= {"clear_margin": rule.margin, "clear_for": rule.clear_for_s}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def gap_s(cadence_s: float) -> float:
    """The longest time between two values that is no gap."""
    return max(3 * cadence_s, LEAST_GAP_S) + SLACK_S


def sampling_s(rule: Rule, watched_s: float) -> float:
    """How often a rule wants its unit sampled; infinity where it asks for nothing."""
    metric = metric_of(rule.metric)
    if metric.of != "unit" or not metric.is_number:
        return float("inf")
    if rule.every is not None:
        return max(rule.every, watched_s)
    return watched_s if metric.sort == "window" else max(rule.for_ / 3, watched_s)


def warnings_for(rule: Rule) -> list[str]:
    """What `hub check` reports of a rule that is valid but may not do what its author meant."""
    found = []
    if metric_of(rule.metric).sort == "total":
        windowed = _WINDOWED_FOR.get(rule.metric, "lp")
        found.append(
            f"{rule.metric} is a total of the whole run and freezes when the run stops; "
            f"for a level that keeps changing use {windowed}"
        )
    lowest = rule.levels[0].above if rule.levels else rule.above
    if rule.metric in ("lot_count", "age_s") and lowest is not None and lowest - rule.margin <= 0:
        found.append(
            f"{rule.metric} is never below 0, so this alert never clears; write above: {rule.margin + 0.5:g}"
        )
    return found


_WINDOWED_FOR = {
    "leq": "laeq_15m (or laeq_1m, laeq_5m, laeq_1h)",
    "le": "laeq_1h",
    "ln1": "la10_15m",
    "ln2": "la10_15m",
    "ln3": "la10_15m",
    "ln4": "la90_15m",
    "ln5": "la90_15m",
}
