"""Keeps a pair for each rule and each subject that it matches, while rules and subjects are added and removed."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from alerts.model.alert import Alert
from alerts.rules.compiled import CompiledRule
from alerts.rules.matching import Attributes, Matcher, matcher_of, named_by
from alerts.rules.pairs import Pair, Series, Subject


@dataclass(slots=True)
class Change:
    """The pairs that a change of rules or subjects started, kept and ended; `ended` with the reason."""

    started: list[Pair] = field(default_factory=list)
    stayed: list[Pair] = field(default_factory=list)  # with a new version of a rule that decides as before
    ended: list[tuple[Pair, str]] = field(default_factory=list)


class Roster:
    """Subjects, rules, and their pairs."""

    def __init__(self) -> None:
        self.rules: dict[str, CompiledRule] = {}
        self.subjects: dict[str, Subject] = {}
        self.series: dict[tuple[str, str], Series] = {}
        self._matchers: dict[str, Matcher] = {}
        self._broad: list[CompiledRule] = []
        self._named: dict[str, list[CompiledRule]] = {}  # by the subjects they name one by one

    def pairs(self) -> Iterator[Pair]:
        """Every pair, subject by subject."""
        return (pair for subject in self.subjects.values() for pair in subject.pairs.values())

    def pair(self, rule: str, subject: str) -> Pair | None:
        """The pair of a rule and a subject."""
        known = self.subjects.get(subject)
        return known.pairs.get(rule) if known is not None else None

    def ended(self, alert: Alert) -> str | None:
        """Why its rule no longer decides on an alert: `rule-removed`, `rule-changed`; None where it does."""
        rule = self.rules.get(alert.rule)
        if rule is None:
            return "rule-removed"
        return "rule-changed" if rule.hash != alert.rule_hash else None

    def put_subject(
        self,
        subject: str,
        labels: Mapping[str, str],
        attributes: Attributes,
        now_s: float,
        metrics: Collection[str] | None = None,
    ) -> Change:
        """Add a subject, or give a known one other labels, attributes and metrics.

        A rule on a metric outside `metrics` does not match it; None: it may have any metric.
        """
        known = self.subjects.setdefault(subject, Subject(subject))
        known.labels, known.attributes, known.metrics = labels, attributes, metrics
        change = Change()
        self._match_all(known, change, now_s)
        return change

    def remove_subject(self, subject: str) -> Change:
        """Remove the subject and end its pairs."""
        change = Change()
        known = self.subjects.pop(subject, None)
        for pair in list(known.pairs.values()) if known is not None else ():
            self._end(pair, "subject-removed", change)
        return change

    def set_rules(self, rules: dict[str, CompiledRule], now_s: float) -> Change:
        """Replace all rules. Pairs of a rule that decides as before stay, with the new version of it."""
        self.rules = rules
        self._matchers = {name: matcher_of(rule.rule) for name, rule in rules.items()}
        self._broad, self._named = [], {}
        for rule in rules.values():
            names = named_by(rule.rule)
            if names is None:
                self._broad.append(rule)
            for name in names or ():
                self._named.setdefault(name, []).append(rule)
        change = Change()
        for pair in list(self.pairs()):
            reason = self.ended(pair.alert)
            if reason is not None:
                self._end(pair, reason, change)
            else:
                pair.rule = rules[pair.alert.rule]
                change.stayed.append(pair)
        for subject in self.subjects.values():
            self._match_all(subject, change, now_s)
        return change

    def _match_all(self, subject: Subject, change: Change, now_s: float) -> None:
        for rule in chain(self._broad, self._named.get(subject.id, ())):
            self._match(rule, subject, change, now_s)

    def _match(self, rule: CompiledRule, subject: Subject, change: Change, now_s: float) -> None:
        name, metric = rule.rule.name, rule.rule.metric
        pair = subject.pairs.get(name)
        has_metric = subject.metrics is None or metric in subject.metrics
        matches = has_metric and self._matchers[name](subject.id, subject.labels, subject.attributes)
        if matches and pair is None:
            series = subject.series.get(metric)
            if series is None:
                series = subject.series[metric] = self.series[subject.id, metric] = Series(subject, metric, now_s)
            pair = subject.pairs[name] = Pair(rule, series, Alert(name, subject.id, rule.hash, metric))
            series.pairs.append(pair)
            change.started.append(pair)
        elif not matches and pair is not None:
            self._end(pair, "no-longer-matches", change)

    def _end(self, pair: Pair, reason: str, change: Change) -> None:
        series = pair.series
        del series.subject.pairs[pair.rule.rule.name]
        series.pairs.remove(pair)
        if not series.pairs:
            del series.subject.series[series.metric]
            del self.series[series.subject.id, series.metric]
        change.ended.append((pair, reason))
