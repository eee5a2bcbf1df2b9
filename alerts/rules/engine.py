"""Holds the current alert of every rule on every subject, and evaluates samples and the passing of time.

Invariants:

1. No method waits, and all are called in one event loop: a call sees the result of the whole call before it.
2. There is one pair for each rule and each subject that it matches, and no other. The alert of a rule and a subject
   that match no longer, or not yet, is in `_unpaired` while it is open or its cooldown lasts.
3. The transitions of an alert have consecutive sequences and are returned in that order.
4. Every open alert is in `_open`, whether it has a pair or not.
5. An alert in `_changed` is never older than the last transition that was returned of it.
6. A pair that time alone may change is in the due queue, unless its subject is away or its window is closed. The
   return of the subject and the opening of the window put it back.

States of an alert; a single sample may pass through several of them:

              value exceeds the threshold         for at least `for`
    inactive ────────────────────────────> pending ─────────────────> firing <───────────────────┐
     ^ ^ ^                                    │                         │ value is clear          │ value is not
     │ │ └────────────────────────────────────┘                         v                         │ clear any more
     │ │    value does not exceed it, or too long a gap              clearing ───────────────────┘
     │ └────────────────────────────────────────────────────────────────┘
     │      clear for at least `clear_for`
     └── from pending, firing and clearing: the window closes, the run ends, the rule or the subject is removed

Silence, as the rule's `no_data` says, leaves the state, takes inactive or pending to firing, or takes firing or
clearing to inactive.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from alerts.config.rule import Rule, Schedule
from alerts.config.schedule import Window
from alerts.model.alert import Alert, State, Transition, TransitionType
from alerts.model.sample import Quality, Sample
from alerts.rules.compiled import compile_rule, sampling_s
from alerts.rules.evaluate import begin_at_most, close, evaluate, regrade
from alerts.rules.matching import Attributes
from alerts.rules.pairs import NEVER, DueQueue, Needs, Pair, RuleInput, Subject
from alerts.rules.roster import Change, Roster
from alerts.rules.status import RuleStatus, status_of
from alerts.rules.system import UNIT_UNREACHABLE

_EXCUSED_STANDSTILLS = 5.0  # a standstill shortens a silence by at most its own length times this


class Engine:
    """Decides; the caller stores and announces the transitions that are returned, in order.

    `now_s` is the steady clock of the samples' `time`, `at` the wall clock (aware UTC). While a unit is away
    (its alert `unit-unreachable` is open, or `set_reachable` said so) its other alerts hold.
    At start: `set_rules`, `add_subject` for each, then `restore`; then `tick` once a second.
    """

    def __init__(self, timezone: str) -> None:
        self.evaluations = 0
        self.older_samples = 0  # ignored
        self.ticked = 0  # pairs that ticks have examined
        self._ticked_s = -NEVER  # the last tick
        self._timezone = timezone
        self._roster = Roster()
        self._windows: dict[Schedule, Window] = {}
        self._was_open: dict[Schedule, bool] = {}
        self._due = DueQueue()
        self._unpaired: dict[tuple[str, str], Alert] = {}  # by rule and subject, where there is no pair of them now
        self._open: dict[str, tuple[str, str]] = {}  # alert id -> rule and subject
        self._changed: dict[tuple[str, str], Alert] = {}

    def observe(self, sample: Sample, now_s: float) -> Sequence[Transition]:
        """What a sample changes. Subjects and metrics no rule asks for change nothing."""
        series = self._roster.series.get((sample.subject, sample.metric))
        if series is None:
            return ()
        if sample.time < series.last_s:
            self.older_samples += 1
            return ()
        series.last_s, series.last_at, series.last_value = sample.time, sample.at, sample.value
        if _ends_silence(sample):
            series.value_s = sample.time
        if series.is_held:
            return ()
        self.evaluations += len(series.pairs)
        transitions: list[Transition] = []
        for pair in series.pairs:
            alert, transition = evaluate(pair.rule, pair.alert, sample)
            if alert is not pair.alert:
                transitions += self._apply(pair, alert, transition, now_s)
        return transitions

    def tick(self, at: datetime, now_s: float) -> list[Transition]:
        """What the passing of time changes: no-data, ends of cooldowns, edges of windows."""
        self._ticked_s = now_s
        for schedule, window in self._windows.items():
            is_open = window.is_open(at)
            if self._was_open[schedule] is not is_open:
                self._was_open[schedule] = is_open
                self._wake((pair for pair in self._roster.pairs() if pair.rule.window is window), now_s)
        transitions: list[Transition] = []
        for pair in self._due.pop_due(now_s):
            self.ticked += 1
            if pair.series.is_held:
                continue  # woken when the subject is back
            if pair.alert.state is State.INACTIVE and pair.due_s() > now_s:
                self._queue(pair, now_s)
                continue
            alert, transition = evaluate(pair.rule, pair.alert, pair.series.tick(at, now_s))
            if alert is not pair.alert:
                transitions += self._apply(pair, alert, transition, now_s)
            if pair.rule.window is None or pair.rule.window.is_open(at):  # else woken when it opens
                self._queue(pair, now_s)
        return transitions

    def resume(self, now_s: float) -> None:
        """Count silence from now: the process stood still since the last tick and received no samples.

        So a standstill alone causes no no-data onset and no clear. It does not bridge a gap either: a pending onset
        or clear whose values lie too far apart begins anew. A silence that is much older than the standstill keeps
        counting: otherwise a process that stands still again and again would never report it.
        """
        excused_s = _EXCUSED_STANDSTILLS * (now_s - self._ticked_s)
        for subject in self._roster.subjects.values():
            for series in subject.series.values():
                series.value_s = max(series.value_s, min(now_s, series.value_s + excused_s))

    def set_reachable(self, subject: str, reachable: bool, now_s: float) -> None:
        """Hold the alerts of a subject that is away on purpose, such as a released unit; or resume them."""
        known = self._roster.subjects[subject]
        known.is_released = not reachable
        self._update_away(known, now_s)

    def set_rules(self, rules: Iterable[Rule], at: datetime, now_s: float) -> list[Transition]:
        """Evaluate these rules from now on. Alerts of a rule that decides as before continue; the others close."""
        compiled = {rule.name: compile_rule(rule, self._timezone) for rule in rules}
        self._windows = {}
        for name, rule in compiled.items():
            if rule.rule.schedule is not None and rule.window is not None:
                shared = self._windows.setdefault(rule.rule.schedule, rule.window)
                compiled[name] = replace(rule, window=shared)
        before = self._was_open
        self._was_open = {s: before.get(s, window.is_open(at)) for s, window in self._windows.items()}
        transitions = self._apply_change(self._roster.set_rules(compiled, now_s), at, now_s)
        for key, alert in list(self._unpaired.items()):
            reason = self._roster.ended(alert)
            if reason is not None:
                del self._unpaired[key]
                transitions += self._close_alert(alert, reason, at, now_s)
        return transitions

    def add_subject(
        self,
        subject: str,
        labels: Mapping[str, str],
        at: datetime,
        now_s: float,
        attributes: Attributes | None = None,
        metrics: Collection[str] | None = None,
    ) -> list[Transition]:
        """Watch a subject; silence counts from now on. A known one gets other labels, attributes and metrics.

        Attributes are a machine's `status` and `status_category`. `metrics` are those the subject has: rules on
        others are not about it; None: it may have any. A known subject may leave rules (their alerts close) or join
        some.
        """
        known, asked = self._roster.subjects.get(subject), (labels, attributes or {}, metrics)
        if known is not None and (known.labels, known.attributes, known.metrics) == asked:
            return []
        change = self._roster.put_subject(subject, labels, attributes or {}, now_s, metrics)
        return self._apply_change(change, at, now_s)

    def remove_subject(self, subject: str, at: datetime, now_s: float) -> list[Transition]:
        """Stop watching; open alerts close with reason `subject-removed`."""
        transitions = self._apply_change(self._roster.remove_subject(subject), at, now_s)
        for key in [key for key in self._unpaired if key[1] == subject]:
            transitions += self._close_alert(self._unpaired.pop(key), "subject-removed", at, now_s)
        return transitions

    def restore(self, alerts: Iterable[Alert], at: datetime, now_s: float) -> list[Transition]:
        """Continue stored alerts with their timers; close those whose rule or subject is gone."""
        transitions: list[Transition] = []
        for alert in alerts:
            pair = self._roster.pair(alert.rule, alert.subject)
            is_awaited = alert.subject.startswith("equipment/") and alert.subject not in self._roster.subjects
            reason = self._roster.ended(alert)
            if reason is None and pair is None and not is_awaited:
                reason = "no-longer-matches" if alert.subject in self._roster.subjects else "subject-removed"
            if reason is not None:
                transitions += self._close_alert(alert, reason, at, now_s)
                continue
            alert = self._index(begin_at_most(self._roster.rules[alert.rule], alert, now_s))
            if pair is None:
                self._unpaired[alert.rule, alert.subject] = alert
            else:
                pair.alert, transition = regrade(pair.rule, alert, pair.series.tick(at, now_s))
                transitions += [transition] if transition is not None else []
                self._due.put(pair, now_s, now_s)
        for subject in self._roster.subjects.values():
            self._update_away(subject, now_s)
        return transitions

    def acknowledge(self, alert_id: str, who: str, comment: str | None, at: datetime, now_s: float) -> Transition:
        """Record who acknowledged the alert. Raises KeyError where no alert with this id is open."""
        return self._annotate(TransitionType.ACK, alert_id, who, comment, at, now_s)

    def unacknowledge(self, alert_id: str, at: datetime, now_s: float) -> Transition:
        """Withdraw the acknowledgement. Raises KeyError where no alert with this id is open."""
        return self._annotate(TransitionType.UNACK, alert_id, None, None, at, now_s)

    def alert(self, alert_id: str) -> Alert | None:
        """The open alert with this id."""
        key = self._open.get(alert_id)
        if key is None:
            return None
        pair = self._roster.pair(*key)
        return pair.alert if pair is not None else self._unpaired[key]

    def open_alerts(self) -> list[Alert]:
        """All alerts that are firing or clearing."""
        return [alert for alert_id in self._open if (alert := self.alert(alert_id)) is not None]

    def pop_changed(self) -> list[Alert]:
        """Return and forget the alerts whose timers or peak changed without a transition since the last call."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def has_subject(self, subject: str) -> bool:
        """Whether the subject was added and not removed."""
        return subject in self._roster.subjects

    def labels_of(self, subject: str) -> Mapping[str, str]:
        """The labels of a subject; none where it is not known."""
        known = self._roster.subjects.get(subject)
        return known.labels if known is not None else {}

    def needs(self, subject: str, watched_s: float) -> Needs:
        """What the rules ask of a subject that is sampled every `watched_s` while people watch it."""
        known = self._roster.subjects.get(subject)
        rules = [pair.rule.rule for pair in known.pairs.values()] if known is not None else []
        is_ruled = any(rule.name != UNIT_UNREACHABLE for rule in rules)
        every_s = min(sampling_s(rule, watched_s) for rule in rules) if is_ruled else None
        return Needs(frozenset(known.series) if known is not None else frozenset(), every_s)

    def rule_inputs(self, subject: str, metrics: Collection[str], now_s: float) -> list[RuleInput]:
        """What each rule on one of these metrics receives of a subject."""
        known = self._roster.subjects.get(subject)
        return [
            RuleInput(pair.rule.rule.name, name, series.last_value is not None, series.silent_s(now_s))
            for name, series in (known.series.items() if known is not None else ())
            if name in metrics
            for pair in series.pairs
        ]

    def rule_status(self) -> list[RuleStatus]:
        """The status of each rule, in the order of the configuration."""
        pairs: dict[str, list[Pair]] = {name: [] for name in self._roster.rules}
        for pair in self._roster.pairs():
            pairs[pair.alert.rule].append(pair)
        return [status_of(rule.rule, pairs[name]) for name, rule in self._roster.rules.items()]

    def _apply(self, pair: Pair, alert: Alert, transition: Transition | None, now_s: float) -> list[Transition]:
        """Keep the decision for a pair, and return its transition."""
        before, pair.alert = pair.alert, alert
        self._queue(pair, now_s)
        if transition is None:
            if _is_worth_storing(before, alert):
                self._changed[pair.key] = alert
            return []
        self._changed.pop(pair.key, None)
        self._index(alert)
        if alert.rule == UNIT_UNREACHABLE:
            self._update_away(pair.series.subject, now_s)
        return [replace(transition, decided_s=now_s)]

    def _index(self, alert: Alert) -> Alert:
        if alert.id is not None:
            if alert.is_open:
                self._open[alert.id] = (alert.rule, alert.subject)
            else:
                self._open.pop(alert.id, None)
        return alert

    def _update_away(self, subject: Subject, now_s: float) -> None:
        """Update whether the subject is away. When it returns, silence counts from now."""
        pair = subject.pairs.get(UNIT_UNREACHABLE)
        was_away = subject.is_away
        subject.is_away = subject.is_released or (pair is not None and pair.alert.is_open)
        if was_away and not subject.is_away:
            for series in subject.series.values():
                series.value_s = max(series.value_s, now_s)
            self._wake(subject.pairs.values(), now_s)

    def _queue(self, pair: Pair, now_s: float) -> None:
        due_s = pair.due_s()
        if due_s < NEVER:
            self._due.put(pair, due_s if due_s > now_s else now_s + 1.0, now_s)

    def _wake(self, pairs: Iterable[Pair], now_s: float) -> None:
        for pair in pairs:
            due_s = pair.due_s() if pair.alert.state is State.INACTIVE else now_s
            if due_s < NEVER:
                self._due.put(pair, due_s, now_s)

    def _apply_change(self, change: Change, at: datetime, now_s: float) -> list[Transition]:
        """Close the alerts of pairs that ended, start new pairs, and change severities in pairs that stayed."""
        transitions: list[Transition] = []
        for pair, reason in change.ended:
            self._due.discard(pair)
            self._changed.pop(pair.key, None)
            transitions += self._close_alert(pair.alert, reason, at, now_s)
            if pair.alert.rule == UNIT_UNREACHABLE:
                self._update_away(pair.series.subject, now_s)
            if reason == "no-longer-matches" and pair.alert.cooldown_until_s is not None:
                rest, _ = close(pair.alert, pair.series.tick(at, now_s), reason)
                self._unpaired[pair.key] = rest  # the cooldown outlasts a short absence
        for pair in change.started:
            pair.alert = self._unpaired.pop(pair.key, pair.alert)
            self._queue(pair, now_s)
            if pair.alert.is_open:
                self._due.put(pair, now_s, now_s)
        for pair in change.stayed:
            alert, transition = regrade(pair.rule, pair.alert, pair.series.tick(at, now_s))
            if transition is not None:
                transitions += self._apply(pair, alert, transition, now_s)
        return transitions

    def _close_alert(self, alert: Alert, reason: str, at: datetime, now_s: float) -> list[Transition]:
        """Close the alert of a pair that ended."""
        tick = Sample(alert.subject, alert.metric, None, at, now_s, Quality.TICK)
        closed, transition = close(alert, tick, reason)
        self._index(closed)
        return [transition] if transition is not None else []

    def _annotate(
        self, kind: TransitionType, alert_id: str, who: str | None, comment: str | None, at: datetime, now_s: float
    ) -> Transition:
        alert = self.alert(alert_id)
        if alert is None:
            raise KeyError(alert_id)
        acknowledged_at = at if who is not None else None
        alert = replace(
            alert,
            acknowledged_by=who,
            acknowledged_at=acknowledged_at,
            comment=comment,
            sequence=alert.sequence + 1,
        )
        self._changed.pop((alert.rule, alert.subject), None)  # the alert before this transition
        pair = self._roster.pair(alert.rule, alert.subject)
        if pair is not None:
            pair.alert = alert
        else:
            self._unpaired[alert.rule, alert.subject] = alert
        return Transition(kind, at, alert, sample_time_s=now_s, decided_s=now_s)


def _ends_silence(sample: Sample) -> bool:
    """Whether the sample is data. An under-range value is, though it decides nothing."""
    if sample.quality is Quality.OK:
        return sample.value is not None
    return sample.quality is Quality.OVER or sample.quality is Quality.UNDER


def _is_worth_storing(before: Alert, after: Alert) -> bool:
    """True for every value while a timer runs, else for a new peak only: a firing alert costs no write a second."""
    timers = (after.pending_since_s, after.clearing_since_s, *after.level_since_s)
    if any(since_s is not None for since_s in timers) or before.peak != after.peak:
        return True
    return (before.state, before.pending_since_s, before.level_since_s) != (
        after.state,
        after.pending_since_s,
        after.level_since_s,
    )
