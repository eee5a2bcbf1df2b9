"""The queue of due pairs."""

from alerts.model.alert import Alert
from alerts.rules.compiled import compile_rule
from alerts.rules.pairs import DueQueue, Pair, Series, Subject
from tests.alerts.play import make_rule


def make_pair() -> Pair:
    rule = compile_rule(make_rule(above=65), "UTC")
    return Pair(rule, Series(Subject("unit/a"), "lp", 0.0), Alert("r", "unit/a", rule.hash, "lp"))


def test_a_pair_is_taken_once_when_it_is_due() -> None:
    queue, pair = DueQueue(), make_pair()
    queue.put(pair, 5.0, now_s=0.0)
    assert list(queue.pop_due(4.9)) == []
    assert list(queue.pop_due(5.0)) == [pair]
    assert list(queue.pop_due(6.0)) == []


def test_of_several_entries_the_earliest_counts() -> None:
    queue, pair = DueQueue(), make_pair()
    for due_s in (9.0, 5.0, 7.0):
        queue.put(pair, due_s, now_s=0.0)
    assert list(queue.pop_due(20.0)) == [pair]
    assert list(queue.pop_due(20.0)) == []


def test_what_is_due_late_is_looked_at_before_at_times_spread_over_the_pairs() -> None:
    queue, pairs = DueQueue(), [make_pair() for _ in range(97)]
    for pair in pairs:
        queue.put(pair, 1000.0, now_s=0.0)
    taken = [len(list(queue.pop_due(float(second)))) for second in range(60)]
    assert sum(taken) == 97
    assert max(taken) <= 6


def test_a_dropped_pair_is_never_taken() -> None:
    queue, pair = DueQueue(), make_pair()
    queue.put(pair, 5.0, now_s=0.0)
    queue.discard(pair)
    queue.put(pair, 1.0, now_s=0.0)
    assert list(queue.pop_due(100.0)) == []
