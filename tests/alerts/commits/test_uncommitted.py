from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import given

from alerts.commits.uncommitted import Batch, Uncommitted
from alerts.model.alert import Alert, TransitionType
from alerts.model.delivery import Notice
from tests.alerts.fakes import cleared, onset, transition

ONSET = onset()
CLEAR = cleared(ONSET)
ONSET_BEFORE = replace(ONSET, last_value_s=0.0, sequence=0)
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


def test_a_transition_that_was_dropped_while_it_was_committed_is_not_announced_again() -> None:
    waiting = Uncommitted()
    waiting.add(FIRST, 1.0)
    batch = waiting.next_batch(9)
    waiting.announced(FIRST, [])
    waiting.drop_oldest()
    assert waiting.committed(batch, 2.0) == []


def test_a_batch_has_as_many_states_without_a_transition_as_transitions_at_most() -> None:
    waiting = Uncommitted()
    for number in range(5):
        waiting.put(replace(ONSET, subject=f"unit/{number}"), 1.0)
    sizes = []
    while waiting:
        batch = waiting.next_batch(2)
        sizes.append(len(batch.states))
        waiting.committed(batch, 2.0)
    assert sizes == [2, 2, 1]


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2)),
        st.tuples(st.just("put"), st.integers(0, 2)),
        st.tuples(st.just("commit"), st.integers(1, 3)),
        st.tuples(st.just("fail"), st.integers(1, 3)),
        st.tuples(st.just("begin"), st.integers(1, 3)),
        st.tuples(st.just("drop"), st.just(0)),
        st.tuples(st.just("announce"), st.integers(1, 3)),
    ),
    max_size=40,
)


@given(EVENTS)
def test_each_transition_is_announced_once_in_order_and_no_state_is_written_ahead_of_one(
    events: list[tuple[str, int]],
) -> None:
    waiting, newest, version = Uncommitted(), dict[str, Alert](), 0
    announced: list[int] = []
    is_decided: list[int] = []
    stored: dict[str, Alert] = {}
    batch: Batch | None = None
    for event, number in [*events, *[("commit", 9)] * 9]:
        if event in ("add", "put"):
            version += 1
            subject = f"unit/{number}"
            before = newest.get(subject, ONSET)
            alert = replace(
                before,
                subject=subject,
                id=subject,
                sequence=before.sequence + (event == "add"),
                last_value_s=float(version),
            )
            newest[subject] = alert
            if event == "add":
                is_decided.append(version)
                waiting.add(Notice(transition(TransitionType.LEVEL, alert), {}, str(version)), 1.0)
            else:
                waiting.put(alert, 1.0)
        elif event == "announce":
            for notice in waiting.unannounced(number):
                announced.append(int(notice.summary))
                waiting.announced(notice, [])
        elif event == "drop" and len(waiting):
            if waiting.announcement(waiting.oldest) is None:
                announced.append(int(waiting.oldest.summary))
                waiting.announced(waiting.oldest, [])
            waiting.drop_oldest()
        elif event in ("begin", "commit", "fail"):
            batch, begun = None, batch or waiting.next_batch(number)
            if event == "begin":
                batch = begun
            elif event == "fail":
                waiting.put_back(begun)
            else:
                announced += [int(notice.summary) for notice in waiting.committed(begun, 2.0)]
                for alert in begun.states.values():
                    assert (alert.last_value_s or 0) >= (stored.get(alert.subject, ONSET_BEFORE).last_value_s or 0)
                    stored[alert.subject] = alert
                for notice in waiting.unannounced(99):
                    alert = notice.transition.alert
                    assert stored.get(alert.subject, ONSET_BEFORE).sequence < alert.sequence
    assert announced == is_decided
    assert stored == newest
    assert not waiting
