"""What the engine keeps: subjects, their series of values, a pair per rule and subject, and what is due when."""

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
_LOOK_S = 20.0


class Subject:
    """A unit, a machine or a part of the hub, with the pairs of the rules that are about it."""

    __slots__ = ("attributes", "id", "is_away", "is_released", "labels", "metrics", "pairs", "series")

    def __init__(self, subject_id: str) -> None:
        self.id = subject_id
        self.labels: Mapping[str, str] = {}
        self.attributes: Attributes = {}
        self.metrics: Collection[str] | None = None  # that it has; None: any
        self.series: dict[str, Series] = {}  # by metric
        self.pairs: dict[str, Pair] = {}  # by rule
        self.is_released = False
        self.is_away = False  # its alerts hold, but for those on `reachable`


class Series:
    """One metric of one subject: what was heard last, and the pairs it decides."""

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
        """True while the subject is away, unless this metric is what says so."""
        return self.subject.is_away and self.metric != "reachable"

    def silent_s(self, now_s: float) -> float:
        """How long there has been no value while there could have been one."""
        return 0.0 if self.is_held else now_s - self.value_s

    def tick(self, at: datetime, now_s: float) -> Sample:
        """Time passing without a sample."""
        silent_s = now_s - self.value_s
        return Sample(self.subject.id, self.metric, None, at, now_s, Quality.TICK, silent_s=silent_s)


class Hearing(NamedTuple):
    """What a rule hears of a subject: whether its newest sample had a value, and for how long there was none."""

    rule: str
    metric: str
    has_value: bool
    silent_s: float  # 0 while the subject is away


class Needs(NamedTuple):
    """What the rules ask of a subject: which metrics, and how often."""

    metrics: frozenset[str]
    every_s: float | None  # infinity: as it comes; None: no rule but `unit-unreachable` is about the subject


class Pair:
    """One rule on one subject, and how it stands."""

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
    """Pairs by the time they next want a tick. Of several entries of a pair the earliest counts.

    A pair that is due late is looked at before that, at times spread over the pairs: most will have had a value
    by then, so that they are not all due at once, and entries overtaken by events do not pile up.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Pair]] = []
        self._order = count()

    def put(self, pair: Pair, due_s: float, now_s: float) -> None:
        """Ask the pair at `due_s` at the latest, unless it will be asked before."""
        order = next(self._order)
        look_s = min(due_s, now_s + _LOOK_S * (1 + order % 97 / 97))
        if look_s < pair.queued_s:
            pair.queued_s = look_s
            heapq.heappush(self._heap, (look_s, order, pair))

    def drop(self, pair: Pair) -> None:
        """Never ask the pair again."""
        pair.queued_s = -NEVER

    def take(self, now_s: float) -> Iterator[Pair]:
        """The pairs to ask now. One that is put back meanwhile must be due later."""
        while self._heap and self._heap[0][0] <= now_s:
            look_s, _, pair = heapq.heappop(self._heap)
            if pair.queued_s == look_s:
                pair.queued_s = NEVER
                yield pair
