"""Decides the next state of an alert: pure functions of the rule, the current alert, and a sample or a tick."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from alerts.config.rule import SEVERITIES
from alerts.model.alert import Alert, State, Transition, TransitionType, alert_id
from alerts.model.sample import Quality, Sample, Value
from alerts.rules.compiled import LEAST_GAP_S, NO_DATA, SLACK_S, CompiledRule, gap_s

Decision = tuple[Alert, Transition | None]

_WALL_SLACK = timedelta(seconds=1)  # the two clocks are read one after the other, and drift


def evaluate(rule: CompiledRule, alert: Alert, sample: Sample) -> Decision:
    """The alert after a sample, and the transition that receivers are notified of, if any.

    Samples come in order of their time. Where nothing changes, the same object is returned.
    A tick (`Quality.TICK`, no value) is time passing: its `silent_s` is how long the subject has had no value.
    """
    quality = sample.quality
    value = sample.value
    if alert.state is State.INACTIVE and quality is Quality.OK and (value is None or not rule.exceeded(value)):
        return alert, None  # almost every sample ends here
    if quality is Quality.UNREACHABLE:
        return alert, None
    if rule.window is not None and not rule.window.is_open(sample.at):
        return close(alert, sample, "window-closed")
    if quality is Quality.RUN_ENDED:
        if not alert.is_open or alert.reason != NO_DATA:
            return close(alert, sample, "run-ended")
        if alert.pending_since_s is None:
            return alert, None
        return replace(alert, last_value_s=None, pending_since_s=None, level_since_s=()), None
    if quality is Quality.TICK:
        return _evaluate_tick(rule, alert, sample)
    weight = rule.weigh(sample)
    return (alert, None) if weight is None else _evaluate_value(rule, alert, sample, *weight)


def close(alert: Alert, sample: Sample, reason: str | None) -> Decision:
    """Clear an open alert, reset a pending one, leave an inactive one."""
    if alert.state is State.INACTIVE:
        return alert, None
    if alert.state is State.PENDING:
        return _reset(alert), None
    cleared = replace(
        alert,
        state=State.INACTIVE,
        cleared_at=_cleared_at(alert, sample),
        cleared_s=sample.time,
        reason=reason,
        sequence=alert.sequence + 1,
        last_value_s=None,
        unbroken_until_s=None,
        pending_since_s=None,
        clearing_since_s=None,
        level_since_s=(),
    )
    shown = sample if cleared.cleared_at is None else sample._replace(at=cleared.cleared_at)
    return cleared, _transition(TransitionType.CLEAR, cleared, shown)


def regrade(rule: CompiledRule, alert: Alert, tick: Sample) -> Decision:
    """Give an open alert the severity that its rule now has; `levels` have severities of their own."""
    severity = rule.rule.severity
    if not alert.is_open or len(rule.severities) > 1 or alert.severity == severity:
        return alert, None
    is_higher = SEVERITIES.index(severity) > SEVERITIES.index(alert.severity)
    alert = replace(alert, severity=severity, sequence=alert.sequence + 1)
    alert = _unacknowledged(alert) if is_higher else alert
    return alert, _transition(TransitionType.LEVEL, alert, tick)


def begin_at_most(rule: CompiledRule, alert: Alert, now_s: float) -> Alert:
    """A stored alert with no timer in the future, which a wall clock that was set back since then can cause."""
    times = (alert.started_s, alert.last_value_s, alert.pending_since_s, alert.clearing_since_s)
    started_s, last_s, pending_s, clearing_s, *levels = (
        None if at is None else min(at, now_s) for at in (*times, *alert.level_since_s)
    )
    cooled_s, until_s = alert.cooldown_until_s, None
    if last_s is not None and alert.last_value_s is not None:
        longest_s = LEAST_GAP_S if alert.unbroken_until_s is None else alert.unbroken_until_s - alert.last_value_s
        until_s = last_s + longest_s
    return replace(
        alert,
        started_s=started_s,
        last_value_s=last_s,
        unbroken_until_s=until_s,
        pending_since_s=pending_s,
        clearing_since_s=clearing_s,
        level_since_s=tuple(levels),
        cooldown_until_s=None if cooled_s is None else min(cooled_s, now_s + rule.rule.cooldown),
    )


def due_s(rule: CompiledRule, alert: Alert, value_s: float) -> float:
    """When time alone may next change the alert, if no value follows the one at `value_s`; or infinity."""
    due = float("inf")
    cooled_s = alert.cooldown_until_s if alert.cooldown_until_s is not None else float("-inf")
    if alert.state is State.PENDING and alert.last_value_s is not None and alert.unbroken_until_s is not None:
        due = alert.unbroken_until_s
        if cooled_s > alert.last_value_s:
            due = min(due, cooled_s)
    no_data = rule.rule.no_data
    if no_data.action == "clear" and alert.is_open:
        due = min(due, value_s + no_data.after)
    elif no_data.action == "alarm" and not alert.is_open:
        due = min(due, max(value_s + no_data.after, cooled_s))
    return due


def _evaluate_value(rule: CompiledRule, alert: Alert, sample: Sample, exceeded: int, held: int) -> Decision:
    """Apply a value: the timer of each level that it may turn on or off starts, continues or stops."""
    if alert.state is State.INACTIVE and alert.id is not None:
        alert = _reset(alert)  # an earlier alert that has cleared
    on, count = rule.levels_on(alert), len(rule.thresholds)
    now_s = sample.time
    is_broken = _is_broken(alert, now_s)
    before = (alert.clearing_since_s if on else alert.pending_since_s, *alert.level_since_s)
    since: list[float | None] = [None] * count
    for level in range(count):
        if level >= held if level < on else level < exceeded:
            began_s = before[level] if level < len(before) and not is_broken else None
            since[level] = now_s if began_s is None else began_s
    reached = _reached(rule, since, on, now_s)
    if not on and not exceeded:  # closes a no-data alert, and a pending one
        alert = replace(alert, value=sample.value, window=sample.window, last_value_s=now_s)
        return close(alert, sample, "data-returned")
    if on:
        state = State.FIRING if since[0] is None else State.CLEARING
    else:
        state = State.FIRING if alert.is_open else State.PENDING
    alert = replace(
        alert,
        state=state,
        severity=rule.severities[0] if state is State.PENDING else alert.severity,
        threshold=rule.thresholds[0] if state is State.PENDING else alert.threshold,
        value=sample.value,
        window=sample.window,
        peak=_peak(rule, None if is_broken and not on else alert.peak, sample.value),
        reason=_onset_reason(sample) if state is State.PENDING else alert.reason,
        last_value_s=now_s,
        unbroken_until_s=now_s + gap_s(sample.cadence_s),
        pending_since_s=None if on else since[0],
        clearing_since_s=since[0] if on else None,
        level_since_s=tuple(since[1:]),
    )
    if on:
        if reached == on:
            return alert, None
        return (
            _change_severity(rule, alert, sample, on, reached) if reached else close(alert, sample, sample.reason)
        )
    if reached and (alert.is_open or not _is_cooling(alert, now_s)):
        return _fire(rule, alert, sample, reached)
    return alert, None


def _evaluate_tick(rule: CompiledRule, alert: Alert, tick: Sample) -> Decision:
    """Apply the passing of time: a gap ends a pending onset, a cooldown ends, silence becomes no-data."""
    now_s, value_s = tick.time, alert.last_value_s
    if alert.state is State.PENDING and value_s is not None:
        if _is_broken(alert, now_s):
            alert = _reset(alert)
        elif not _is_cooling(alert, now_s):
            reached = _reached(rule, (alert.pending_since_s, *alert.level_since_s), 0, value_s)
            if reached:
                return _fire(rule, alert, tick, reached)
    no_data = rule.rule.no_data
    if tick.silent_s < no_data.after - SLACK_S:
        return alert, None
    if no_data.action == "clear" and alert.is_open:
        return close(alert, tick, NO_DATA)
    if no_data.action == "alarm" and not alert.is_open and not _is_cooling(alert, now_s):
        return _fire_no_data(rule, _reset(alert), tick)
    return alert, None


def _reached(rule: CompiledRule, since: Sequence[float | None], on: int, now_s: float) -> int:
    """How many levels are on, once those whose timers ran for long enough have changed."""
    rising = sum(began is not None and now_s - began >= rule.for_s for began in since[on:])
    falling = sum(began is not None and now_s - began >= rule.clear_for_s for began in since[:on])
    return on + rising - falling


def _is_broken(alert: Alert, now_s: float) -> bool:
    """Whether the gap since the last value is too long for the cadence at which its subject was sampled since."""
    return alert.last_value_s is None or alert.unbroken_until_s is None or now_s > alert.unbroken_until_s


def _is_cooling(alert: Alert, now_s: float) -> bool:
    return alert.cooldown_until_s is not None and now_s < alert.cooldown_until_s - SLACK_S


def _fire(rule: CompiledRule, alert: Alert, sample: Sample, reached: int) -> Decision:
    """The onset; an open no-data alert keeps its id."""
    is_new = not alert.is_open
    alert = replace(
        alert,
        id=alert_id(alert.rule, alert.subject, sample.at) if is_new else alert.id,
        state=State.FIRING,
        severity=rule.severities[reached - 1],
        threshold=rule.thresholds[reached - 1],
        started_at=sample.at if is_new else alert.started_at,
        started_s=sample.time if is_new else alert.started_s,
        reason=alert.reason if sample.quality is Quality.TICK else _onset_reason(sample),
        acknowledged_by=None,
        acknowledged_at=None,
        comment=None,
        sequence=alert.sequence + 1,
        pending_since_s=None,
        level_since_s=tuple(None if level < reached else at for level, at in enumerate(alert.level_since_s, 1)),
        cooldown_until_s=sample.time + rule.rule.cooldown if is_new else alert.cooldown_until_s,
    )
    return alert, _transition(TransitionType.ONSET, alert, sample)


def _fire_no_data(rule: CompiledRule, alert: Alert, tick: Sample) -> Decision:
    """The onset of a no-data alert."""
    alert = replace(
        alert,
        id=alert_id(alert.rule, alert.subject, tick.at),
        state=State.FIRING,
        severity=rule.rule.severity,
        threshold=rule.thresholds[0],
        started_at=tick.at,
        started_s=tick.time,
        reason=NO_DATA,
        sequence=1,
        cooldown_until_s=tick.time + rule.rule.cooldown,
    )
    return alert, _transition(TransitionType.NO_DATA, alert, tick)


def _change_severity(rule: CompiledRule, alert: Alert, sample: Sample, on: int, reached: int) -> Decision:
    """Change the severity; a higher one needs a new acknowledgement."""
    moved = range(min(on, reached), max(on, reached))
    alert = replace(
        alert,
        severity=rule.severities[reached - 1],
        threshold=rule.thresholds[reached - 1],
        sequence=alert.sequence + 1,
        level_since_s=tuple(None if level in moved else at for level, at in enumerate(alert.level_since_s, 1)),
    )
    if reached > on:
        alert = _unacknowledged(alert)
    return alert, _transition(TransitionType.LEVEL, alert, sample)


def _unacknowledged(alert: Alert) -> Alert:
    return replace(alert, acknowledged_by=None, acknowledged_at=None, comment=None)


def _reset(alert: Alert) -> Alert:
    """A new inactive alert that keeps the cooldown."""
    return Alert(alert.rule, alert.subject, alert.rule_hash, alert.metric, cooldown_until_s=alert.cooldown_until_s)


def _onset_reason(sample: Sample) -> str | None:
    return sample.reason or ("over-range" if sample.quality is Quality.OVER else None)


def _cleared_at(alert: Alert, sample: Sample) -> datetime:
    """When the alert cleared by the wall clock; where that was set back, its onset plus its steady duration.

    So no alert clears before its onset. A wall clock that was set forward needs no correction.
    """
    if alert.started_at is None:
        return sample.at
    duration_s = 0.0 if alert.started_s is None else max(0.0, sample.time - alert.started_s)
    expected = alert.started_at + timedelta(seconds=duration_s)
    is_set_back = sample.at < max(alert.started_at, expected - _WALL_SLACK)
    return expected if is_set_back else sample.at


def _peak(rule: CompiledRule, peak: Value, value: Value) -> Value:
    if rule.sense == "is" or not isinstance(value, int | float):
        return peak
    if not isinstance(peak, int | float):
        return value
    return max(peak, value) if rule.sense == "above" else min(peak, value)


def _transition(kind: TransitionType, alert: Alert, sample: Sample) -> Transition:
    return Transition(kind, sample.at, alert, sample_time_s=sample.time, decided_s=sample.time)
