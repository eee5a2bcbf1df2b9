"""The window by its table of states and events, and its answers; `test_window_model` has the laws."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from alerts.config.rule import Receiver
from alerts.delivery.answers import Delivered, Gone, Outcome, Refused, Retry, Wait
from alerts.delivery.window import Fate, Load, State, Window
from alerts.model.delivery import BEGINNING, Attempt, Delivery, DeliveryState
from tests.alerts.fakes import START

BEHIND, LOADING, OVERTAKEN, SYNCED, HELD = State


def window(room: int = 10, **settings: Any) -> Window:
    return Window(Receiver(name="ops", url="http://x/", **settings), "site", room)


def delivery(number: int, sequence: int = 1, **fields: Any) -> Delivery:
    return Delivery(
        f"d{number}-{sequence}",
        "ops",
        "alert.onset",
        START,
        b"",
        f"a{number}",
        sequence,
        document='{"type":"alert.onset","alert":{"labels":{"site":"dock"}}}',
        **fields,
    )


def digest(*members: Delivery) -> Delivery:
    inside = tuple((one.alert_id or "", one.sequence) for one in members)
    return Delivery("digest", "ops", "digest", START + timedelta(seconds=9), b"{}", members=inside)


def offer(one: Window, *deliveries: Delivery, is_stored: bool = True) -> list[Delivery]:
    return one.offered(deliveries, is_stored, 0.0, START)


def taken(one: Window, now_s: float = 0.0) -> Delivery:
    send = one.next(now_s, START)
    assert send is not None
    return send.delivery


def load(one: Window, now_s: float = 0.0) -> Load:
    found = one.load(now_s)
    assert found is not None
    return found


def synced(one: Window, *deliveries: Delivery) -> Window:
    one.loaded(load(one), deliveries, None, 0.0, START)
    assert one.state is SYNCED
    return one


def answer(one: Window, sent: Delivery, outcome: Outcome, now_s: float = 0.0) -> Fate:
    return one.answered(sent, outcome, START, 0.1, now_s, START, 0.5)


def order(one: Window, now_s: float = 0.0) -> list[str]:
    """What goes out, each delivered at once."""
    found = []
    while (send := one.next(now_s, START)) is not None:
        found.append(send.delivery.id)
        answer(one, send.delivery, Delivered(204), now_s)
        now_s += 0.06  # what failed before keeps the distance of `drain`
    return found


class Scene:
    """A window in a state, with two deliveries out and the newest load, which is over where nothing is read."""

    def __init__(self, state: State) -> None:
        self.window = window()
        offer(self.window, delivery(0), delivery(1), delivery(2))
        self.out = [taken(self.window) for _ in range(3)]
        self.load = load(self.window)
        match state:
            case State.BEHIND:
                self.window.load_failed(self.load, 0.0)
            case State.OVERTAKEN:
                self.window.look_again()
            case State.SYNCED:
                self.window.loaded(self.load, [], None, 0.0, START)
            case State.HELD:
                answer(self.window, self.out.pop(), Gone())
        assert self.window.state is state


EVENTS: dict[str, Callable[[Scene], object]] = {
    "offered": lambda s: offer(s.window, delivery(3)),
    "offered ahead of its alert": lambda s: offer(s.window, delivery(3, 2)),
    "offered behind what is here": lambda s: offer(s.window, delivery(1, 2)),
    "offered without room": lambda s: offer(s.window, *(delivery(n) for n in range(3, 13))),
    "told to look again": lambda s: s.window.look_again(),
    "resumed": lambda s: s.window.resumed(),
    "asked what to load": lambda s: s.window.load(5.0),
    "loaded to the end": lambda s: s.window.loaded(s.load, [delivery(4)], None, 5.0, START),
    "loaded some": lambda s: s.window.loaded(s.load, [delivery(4)], (START, "d4-1"), 5.0, START),
    "loaded too many": lambda s: s.window.loaded(s.load, [delivery(n) for n in range(3, 20)], None, 5.0, START),
    "load failed": lambda s: s.window.load_failed(s.load, 5.0),
    "found held": lambda s: s.window.found_held(s.load),
    "delivered": lambda s: answer(s.window, s.out[0], Delivered(204)),
    "failed": lambda s: answer(s.window, s.out[0], Retry("refused")),
    "told to wait": lambda s: answer(s.window, s.out[0], Wait("HTTP 429", 429, 20.0)),
    "gone": lambda s: answer(s.window, s.out[0], Gone()),
    "restarted": lambda s: s.window.restarted(5.0),
}

TABLE = {
    "offered": (BEHIND, LOADING, OVERTAKEN, SYNCED, HELD),
    "offered ahead of its alert": (BEHIND, OVERTAKEN, OVERTAKEN, SYNCED, HELD),
    "offered behind what is here": (BEHIND, LOADING, OVERTAKEN, SYNCED, HELD),
    "offered without room": (BEHIND, OVERTAKEN, OVERTAKEN, BEHIND, HELD),
    "told to look again": (BEHIND, OVERTAKEN, OVERTAKEN, BEHIND, HELD),
    "resumed": (BEHIND, OVERTAKEN, OVERTAKEN, BEHIND, BEHIND),
    "asked what to load": (LOADING, LOADING, OVERTAKEN, SYNCED, HELD),
    "loaded to the end": (BEHIND, SYNCED, BEHIND, SYNCED, HELD),
    "loaded some": (BEHIND, BEHIND, BEHIND, SYNCED, HELD),
    "loaded too many": (BEHIND, BEHIND, BEHIND, SYNCED, HELD),
    "load failed": (BEHIND, BEHIND, BEHIND, SYNCED, HELD),
    "found held": (BEHIND, HELD, BEHIND, SYNCED, HELD),
    "delivered": (BEHIND, LOADING, OVERTAKEN, SYNCED, HELD),
    "failed": (BEHIND, LOADING, OVERTAKEN, SYNCED, HELD),
    "told to wait": (BEHIND, LOADING, OVERTAKEN, SYNCED, HELD),
    "gone": (HELD, HELD, HELD, HELD, HELD),
    "restarted": (BEHIND, BEHIND, BEHIND, SYNCED, HELD),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", EVENTS)
def test_each_event_leads_from_each_state_where_the_table_says(event: str, state: State) -> None:
    scene = Scene(state)
    EVENTS[event](scene)
    assert scene.window.state is TABLE[event][list(State).index(state)]
    assert scene.window.weight <= 10


def test_a_new_window_reads_from_the_beginning_and_is_then_in_step_with_sql() -> None:
    one = window()
    first = load(one)
    assert (first.after, first.limit) == (BEGINNING, 9)
    assert one.load(0.0) is None
    one.loaded(first, [delivery(1), delivery(2)], None, 0.0, START)
    assert one.state is SYNCED
    assert one.wakes_at_s(0.0) == 0.0
    assert order(one) == ["d1-1", "d2-1"]
    assert one.wakes_at_s(0.0) is None


def test_the_next_load_goes_on_where_the_last_one_ended_once_half_the_room_is_free() -> None:
    one = window()
    reached = START, "d9-1"
    one.loaded(load(one), [delivery(n) for n in range(9)], reached, 0.0, START)
    assert one.load(0.0) is None
    for _ in range(5):
        answer(one, taken(one), Delivered(204))
    assert load(one).after == reached


def test_what_is_left_out_is_read_from_where_it_is() -> None:
    one = synced(window(room=1), delivery(1))
    offer(one, delivery(2))
    assert (one.state, len(one), one.dropped) == (BEHIND, 1, 0)
    assert order(one) == ["d1-1"]
    assert load(one).after == (START, "")


def test_what_left_the_window_while_sql_was_read_is_not_taken_again() -> None:
    one = window(group_by=("site",), group_wait="0s", group_interval="0s")
    offer(one, *(delivery(n) for n in range(3)))
    being_read = load(one)
    send = one.next(0.0, START)
    assert send is not None
    assert [write.state for write in send.writes] == ["digested"] * 3 + ["pending"]
    one.loaded(being_read, [delivery(n) for n in range(4)], None, 0.0, START)
    assert one.state is SYNCED
    assert order(one) == ["d3-1"]


def test_a_load_that_fails_is_tried_again_after_a_second_from_the_same_place() -> None:
    one = window()
    one.load_failed(load(one), 5.0)
    assert one.wakes_at_s(5.0) == 6.0
    assert one.load(5.9) is None
    assert load(one, 6.0).after == BEGINNING


def test_what_is_read_and_finds_no_room_is_read_again() -> None:
    one = window(room=4)
    offer(one, delivery(8), delivery(9))
    one.loaded(load(one), [delivery(1), delivery(2), delivery(3)], None, 0.0, START)
    assert (one.state, len(one)) == (BEHIND, 4)
    order(one)
    assert load(one, 1.0).after == BEGINNING


def test_a_digest_takes_the_room_of_its_messages() -> None:
    one = window(room=4)
    offer(one, delivery(8))
    many = digest(*(delivery(n) for n in range(4)))
    one.loaded(load(one), [many], None, 0.0, START)
    assert (one.state, len(one)) == (BEHIND, 1)
    order(one)
    one.loaded(load(one, 1.0), [many], None, 1.0, START)
    assert (one.state, one.weight) == (SYNCED, 4)


def test_an_onset_goes_at_once_while_sql_has_more_and_a_clear_only_behind_its_onset() -> None:
    one = window()
    offer(one, delivery(1), delivery(2, 2), delivery(1, 2))
    assert one.state is BEHIND
    assert order(one) == ["d1-1", "d1-2"]
    offer(one, delivery(1, 3), delivery(1, 5))
    assert order(one) == ["d1-3"]


def test_what_is_not_stored_is_written_with_its_body_and_read_again_where_it_finds_no_room() -> None:
    one = synced(window(room=1), delivery(1))
    writes = offer(one, delivery(2), is_stored=False)
    assert [(write.id, bool(write.body)) for write in writes] == [("d2-1", True)]
    assert (one.dropped, one.state) == (1, BEHIND)
    assert order(one) == ["d1-1"]
    offer(one, delivery(2, 2), is_stored=False)
    assert order(one) == []
    synced(one, *writes)
    assert order(one) == ["d2-1"]


def test_a_delivery_gets_its_body_when_it_is_sent_for_the_first_time() -> None:
    one = synced(window(), delivery(1))
    send = one.next(0.0, START)
    assert send is not None
    assert send.delivery.body
    assert (send.writes, send.is_new_digest) == ([send.delivery], False)
    answer(one, send.delivery, Retry("refused"))
    again = one.next(5.0, START)
    assert again is not None
    assert (again.delivery.body, again.writes) == (send.delivery.body, [])


def test_a_410_holds_what_comes_and_keeps_what_is_out() -> None:
    one = synced(window(room=20), *(delivery(n) for n in range(9)))
    gone, late = taken(one), taken(one)
    fate = answer(one, gone, Gone())
    assert (fate.delivery.state, fate.delivery.attempts, fate.attempt.status) == ("held", 1, 410)
    assert len(one) == 1
    assert one.wakes_at_s(1e6) is None
    [held] = offer(one, delivery(10))
    assert (held.id, held.state) == ("d10-1", "held")
    assert answer(one, late, Retry("refused")).delivery.state == "held"
    assert len(one) == 0


def test_what_is_out_since_before_a_410_is_not_sent_again_and_goes_before_the_later_ones_of_its_alert() -> None:
    one = synced(window(), delivery(1), delivery(2))
    gone, late = taken(one), taken(one)
    answer(one, gone, Gone())
    one.resumed()
    one.loaded(load(one), [replace(gone, attempts=1), delivery(2, 2), delivery(2)], None, 0.0, START)
    assert order(one) == ["d1-1"]
    answer(one, late, Delivered(204))
    assert order(one) == ["d2-2"]


def test_a_load_from_before_a_410_is_outdated() -> None:
    one = synced(window(), delivery(1))
    out = taken(one)
    one.look_again()
    before = load(one)
    answer(one, out, Gone())
    one.resumed()
    after = load(one)
    one.loaded(before, [delivery(2)], None, 0.0, START)
    assert (one.state, len(one)) == (LOADING, 0)
    one.loaded(after, [delivery(2)], None, 0.0, START)
    assert (one.state, len(one)) == (SYNCED, 1)


def test_a_digest_that_was_not_posted_for_a_410_leaves_the_window() -> None:
    one = synced(window(group_by=("site",), group_wait="10s"), replace(delivery(1), attempts=1), delivery(2))
    offer(one, delivery(3))
    out, made = taken(one), taken(one, 10.0)
    assert (out.id, made.type) == ("d1-1", "digest")
    answer(one, out, Gone(), 10.0)
    one.untried(made, 10.0)
    assert len(one) == 0


@pytest.mark.parametrize("status", [400, 404, 413])
def test_a_digest_that_is_refused_is_split(status: int) -> None:
    one = synced(window(group_by=("site",), group_wait="0s", group_interval="0s"), *(delivery(n) for n in range(3)))
    made = taken(one)
    if status == 404:  # often a receiver that is being deployed
        assert not answer(one, made, Refused("HTTP 404", 404)).is_to_split
        made = taken(one, 400.0)
    fate = answer(one, made, Refused(f"HTTP {status}", status), 400.0)
    assert fate.is_to_split
    writes = one.split(fate.delivery, [delivery(n) for n in range(3)], 400.0, START)
    assert [write.state for write in writes] == ["split", "digested", "digested", "pending", "pending"]
    assert one.weight == 3
    parts = order(one, 400.1)
    assert len(parts) == 2
    assert parts[-1] == "d2-1"


def test_a_digest_whose_members_cannot_be_read_goes_as_it_is_later() -> None:
    one = synced(window(group_by=("site",), group_wait="0s"), delivery(1), delivery(2))
    made = taken(one)
    fate = answer(one, made, Refused("HTTP 413", 413))
    assert one.split(fate.delivery, [], 0.0, START) == []
    assert one.next(200.0, START) is None
    assert taken(one, 400.0).id == made.id


def test_a_digest_is_not_split_while_its_receiver_is_held() -> None:
    one = synced(window(group_by=("site",), group_wait="10s"), replace(delivery(1), attempts=1), delivery(2))
    offer(one, delivery(3))
    out, made = taken(one), taken(one, 10.0)
    fate = answer(one, made, Refused("HTTP 413", 413), 10.0)
    assert fate.is_to_split
    answer(one, out, Gone(), 10.0)
    assert one.split(fate.delivery, [delivery(2), delivery(3)], 10.0, START) == []
    assert len(one) == 0


LATER = START + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [
        (Delivered(204), 204, None),
        (Refused("HTTP 413", 413), 413, "HTTP 413"),
        (Retry("refused"), None, "refused"),
        (Gone(), 410, "HTTP 410: it wants no more messages"),
    ],
)
def test_an_attempt_is_numbered_and_keeps_status_and_error(
    outcome: Outcome, status: int | None, error: str | None
) -> None:
    one = synced(window(), delivery(1))
    fate = one.answered(taken(one), outcome, LATER, 0.1, 0.0, LATER, 0.5)
    assert fate.attempt == Attempt("d1-1", 1, LATER, 0.1, status, error)


def test_a_delivery_counts_its_attempts_from_the_first() -> None:
    one = synced(window(), delivery(1))
    first = one.answered(taken(one), Retry("refused"), LATER, 0.1, 0.0, LATER, 0.5).delivery
    assert (first.state, first.attempts, first.first_at) == ("pending", 1, LATER)
    assert first.next_at == LATER + timedelta(seconds=5)
    end = LATER + timedelta(hours=1)
    done = one.answered(taken(one, 5.0), Delivered(204), end, 0.1, 5.0, end, 0.5).delivery
    assert (done.state, done.attempts, done.first_at, done.next_at) == ("delivered", 2, LATER, None)
    assert done.finished_at == end


def test_a_delivery_that_failed_for_72_hours_is_dead_and_lets_the_next_go() -> None:
    one = synced(window(), delivery(1), delivery(1, 2))
    answer(one, taken(one), Retry("refused"))
    dead = answer(one, taken(one, 72 * 3600.0), Retry("refused"), 72 * 3600.0).delivery
    assert (dead.state, dead.next_at) == (DeliveryState.DEAD, None)
    assert taken(one, 72 * 3600.1).id == "d1-2"


def test_a_window_is_idle_when_nothing_is_out_or_due() -> None:
    one = synced(window(), delivery(1))
    assert not one.is_idle(0.0)
    out = taken(one)
    assert not one.is_idle(0.0)
    answer(one, out, Retry("refused"))
    assert one.is_idle(0.0)
    assert not one.is_idle(5.0)


def test_after_a_restart_what_was_out_is_sent_again() -> None:
    one = synced(window(), delivery(1))
    taken(one)
    one.restarted(3.0)
    assert order(one, 3.0) == ["d1-1"]
