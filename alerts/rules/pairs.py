"""What the engine keeps: subjects, series of values, a pair per rule and subject, and the queue of due pairs."""

import heapq
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from itertools import count
from typing import NamedTuple

from alerts.model.alert import Alert
from alerts.model.sample import Quality, Sample, Value
from alerts.rules.compiled import CompiledRule
from alerts.rules.evaluate import due_s
from alerts.rules.matching import Attributes

NEVER = float("inf")
_CHECK_S = 20.0  # a pair is checked within once to twice this, however late it is due


class Subject:
    """A unit, a machine or a part of the hub, with the pairs of the rules that match it."""

    __slots__ = ("attributes", "id", "is_away", "is_released", "labels", "metrics", "pairs", "series")

    def __init__(self, subject_id: str) -> None:
        self.id = subject_id
        self.labels: Mapping[str, str] = {}
        self.attributes: Attributes = {}
        self.metrics: Collection[str] | None = None  # those it has; None: any
        self.series: dict[str, Series] = {}  # by metric
        self.pairs: dict[str, Pair] = {}  # by rule
        self.is_released = False
        self.is_away = False  # all its alerts hold except those on `reachable`


class Series:
    """One metric of one subject: its newest sample, and the pairs whose rules are on it."""

    __slots__ = ("last_at", "last_s", "last_value", "metric", "pairs", "subject", "value_s")

    def __init__(self, subject: Subject, metric: str, now_s: float) -> None:
        self.subject = subject
        self.metric = metric
        self.pairs: list[Pair] = []
        self.last_s = -NEVER  # time of the newest sample
        self.last_at: datetime | None = None
        self.last_value: Value = None
        self.value_s = now_s  # silence counts from here: the newest value, the beginning, or the unit's return

    @property
    def is_held(self) -> bool:
        """True while the subject is away, unless this metric is the one that reports it."""
        return self.subject.is_away and self.metric != "reachable"

    def silent_s(self, now_s: float) -> float:
        """How long there has been no value while there could have been one."""
        return 0.0 if self.is_held else now_s - self.value_s

    def tick(self, at: datetime, now_s: float) -> Sample:
        """Time passing without a sample."""
        silent_s = now_s - self.value_s
        return Sample(self.subject.id, self.metric, None, at, now_s, Quality.TICK, silent_s=silent_s)


class RuleInput(NamedTuple):
    """What a rule receives of a subject: whether the newest sample had a value, and how long there was none."""

    rule: str
    metric: str
    has_value: bool
    silent_s: float  # 0 while the subject is away


class Needs(NamedTuple):
    """What the rules ask of a subject: which metrics, and how often."""

    metrics: frozenset[str]
    every_s: float | None  # infinity: at any cadence; None: no rule but `unit-unreachable` matches the subject


class Pair:
    """One rule on one subject, with its current alert."""

    __slots__ = ("alert", "queued_s", "rule", "series")

    def __init__(self, rule: CompiledRule, series: Series, alert: Alert) -> None:
        self.rule = rule
        self.series = series
        self.alert = alert
        self.queued_s = NEVER

    @property
    def key(self) -> tuple[str, str]:
        """Rule and subject."""
        return self.alert.rule, self.alert.subject

    def due_s(self) -> float:
        """When time alone may next change it; or infinity."""
        return due_s(self.rule, self.alert, self.series.value_s)


class DueQueue:
    """Pairs ordered by the time of their next tick. Of several entries of a pair the earliest counts.

    A pair that is due late is checked earlier, at times spread over the pairs. Most pairs have had a value by then
    and are due later still: so they do not all become due at once, and outdated entries do not accumulate.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Pair]] = []
        self._order = count()

    def put(self, pair: Pair, due_s: float, now_s: float) -> None:
        """Check the pair at `due_s` at the latest."""
        order = next(self._order)
        check_s = min(due_s, now_s + _CHECK_S * (1 + order % 97 / 97))
        if check_s < pair.queued_s:
            pair.queued_s = check_s
            heapq.heappush(self._heap, (check_s, order, pair))

    def discard(self, pair: Pair) -> None:
        """Never check the pair again."""
        pair.queued_s = -NEVER

    def pop_due(self, now_s: float) -> Iterator[Pair]:
        """The pairs to check now. A pair that the caller puts back during the iteration must be due later."""
        while self._heap and self._heap[0][0] <= now_s:
            check_s, _, pair = heapq.heappop(self._heap)
            if pair.queued_s == check_s:
                pair.queued_s = NEVER
                yield pair
