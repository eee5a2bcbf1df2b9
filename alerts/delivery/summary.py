"""One line that says what happened, in the field's own words."""

import math

from alerts.config.caption import UNNAMED, Caption
from alerts.config.rule import Rule
from alerts.delivery.message import subject_id
from alerts.model.alert import Alert, Transition, TransitionType
from alerts.model.metrics import Metric
from alerts.model.sample import Value


def spoken_duration(seconds: float) -> str:
    """`30 s`, `12 min`, `1 h 30 min`, `2 d 4 h`: two units at most."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    left = round(seconds)
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def one_line(text: str, most: int = 1000) -> str:
    """Text of others, such as an error, as every database and every receiver can take it."""
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
    return line if len(line) <= most else line[: most - 1] + "…"


def summarize(transition: Transition, rule: Rule | None, caption: Caption = UNNAMED) -> str:
    """The summary of a transition. Without its rule (removed, or the hub's own) what the alert knows."""
    return one_line(_summary(transition, rule, caption))


def _basis(alert: Alert) -> str:
    """` (from Lp, 900 samples, coverage 0.98)` for a value over a window of time."""
    if alert.window is None:
        return ""
    parts = ["from Lp", f"{alert.window.samples} samples", f"coverage {alert.window.coverage:g}"]
    return f" ({', '.join(parts + [f'partly {quality} range' for quality in alert.window.quality])})"


def _summary(transition: Transition, rule: Rule | None, caption: Caption) -> str:
    alert = transition.alert
    who = subject_id(alert.subject)
    if caption.name is not None and caption.name != who:
        who = f"{who} ({caption.name})"
    what, metric = f"{who} {caption.metric_label(alert.metric) or alert.metric}", caption.metric(alert.metric)
    match transition.type:
        case TransitionType.ONSET:
            return _onset(alert, rule, who, what, metric)
        case TransitionType.CLEAR:
            return _clear(alert, rule, who, what, metric)
        case TransitionType.LEVEL:
            return f"{_onset(alert, None, who, what, metric)}, now {alert.severity}"
        case TransitionType.NO_DATA:
            held = f" for {spoken_duration(rule.no_data.after)}" if rule else ""
            return f"{what} no data{held}"
        case TransitionType.ACK:
            comment = f": {alert.comment}" if alert.comment else ""
            return f"{what} acknowledged by {alert.acknowledged_by}{comment}"
        case TransitionType.UNACK:
            return f"{what} no longer acknowledged"


def _onset(alert: Alert, rule: Rule | None, who: str, what: str, metric: Metric) -> str:
    if alert.metric == "reachable" and alert.value is not True:
        return f"{who} unreachable: {alert.reason}" if alert.reason else f"{who} unreachable"
    if alert.metric == "ok":
        return f"{who} {alert.rule}: {alert.reason}"
    held = f" for {spoken_duration(rule.for_)}" if rule and rule.for_ else ""
    if not _is_number(alert.threshold):
        return f"{what} {_shown(alert.value, metric)}{held}"
    below = rule is not None and rule.below is not None
    if rule is None and _is_number(alert.value):
        below = float(alert.value or 0) < float(alert.threshold or 0)
    value = "over range" if alert.value is None else _shown(alert.value, metric)
    return f"{what} {value} {'<' if below else '>'} {_shown(alert.threshold, metric)}{held}{_basis(alert)}"


def _clear(alert: Alert, rule: Rule | None, who: str, what: str, metric: Metric) -> str:
    lasted = alert.lasted
    if lasted is None and alert.started_at is not None and alert.cleared_at is not None:  # of an older version
        lasted = max(0.0, (alert.cleared_at - alert.started_at).total_seconds())
    after = "" if lasted is None else f" after {spoken_duration(lasted)}"
    if alert.metric == "reachable":
        return f"{who} reachable again{after}"
    if alert.metric == "ok":
        return f"{who} {alert.rule} over{after}"
    peak = f", peak {_shown(alert.peak, metric)}" if _is_number(alert.peak) else ""
    limit = None if rule is None or alert.reason else _clear_limit(rule)
    if limit is not None and rule is not None:
        side = "above" if rule.below is not None else "below"
        return f"{what} back {side} {_shown(limit, metric)}{after}{peak}{_basis(alert)}"
    if alert.reason:
        return f"{what} cleared{after}: {alert.reason}{peak}"
    now = "" if alert.value is None else f" {_shown(alert.value, metric)}"
    return f"{what}{now}, cleared{after}{peak}"


def _clear_limit(rule: Rule) -> float | None:
    if rule.above is not None:
        return rule.above - rule.margin
    if rule.below is not None:
        return rule.below + rule.margin
    if rule.levels:
        return min(level.above for level in rule.levels) - rule.margin
    return None


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Value, metric: Metric) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return "over range"
        return spoken_duration(value) if metric.name == "age_s" else metric.shown(value)
    return "unknown" if value is None else value
