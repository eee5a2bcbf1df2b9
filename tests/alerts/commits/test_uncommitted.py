from dataclasses import replace

from alerts.commits.uncommitted import Uncommitted
from alerts.model.alert import TransitionType
from alerts.model.delivery import Notice
from tests.alerts.fakes import cleared, onset, transition

ONSET = onset()
CLEAR = cleared(ONSET)
FIRST = Notice(transition(TransitionType.ONSET, ONSET), {}, "")
SECOND = Notice(transition(TransitionType.CLEAR, CLEAR), {}, "")


def test_a_state_goes_with_the_transition_that_led_to_it() -> None:
    waiting = Uncommitted()
    waiting.add(FIRST, 1.0)
    waiting.add(SECOND, 2.0)
    first = waiting.next_batch(1)
    assert (first.notices, list(first.states.values())) == ([FIRST], [ONSET])
    assert waiting.committed(first, 3.0) == [FIRST]
    assert waiting.since_s == 3.0
    second = waiting.next_batch(1)
    assert (second.notices, list(second.states.values())) == ([SECOND], [CLEAR])
    waiting.committed(second, 4.0)
    assert not waiting
    assert waiting.since_s is None


def test_what_was_not_committed_is_in_the_next_batch_with_the_newest_state() -> None:
    waiting = Uncommitted()
    waiting.add(FIRST, 1.0)
    batch = waiting.next_batch(9)
    louder = replace(ONSET, peak=70.0)
    waiting.put(louder, 2.0)
    waiting.put_back(batch)
    again = waiting.next_batch(9)
    assert again.notices == [FIRST]
    assert list(again.states.values()) == [louder]
    assert waiting.since_s == 1.0


def test_what_was_announced_from_memory_is_not_announced_again() -> None:
    waiting = Uncommitted()
    waiting.add(FIRST, 1.0)
    batch = waiting.next_batch(9)
    waiting.announced(FIRST, [])
    assert waiting.announcement(FIRST) == []
    assert waiting.committed(batch, 2.0) == []
    assert waiting.announcement(FIRST) is None


def test_the_oldest_can_be_dropped_while_it_is_being_committed() -> None:
    waiting = Uncommitted()
    waiting.add(FIRST, 1.0)
    waiting.add(SECOND, 1.0)
    batch = waiting.next_batch(9)
    waiting.drop_oldest()
    waiting.committed(batch, 2.0)
    assert len(waiting) == 0
