"""Places for connections: who gets one, who makes room, and who has stood still too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.web.server.connections import STALLED_S, Connection, Connections, Phase


class Wire:
    """A transport that only counts."""

    def __init__(self) -> None:
        self.unsent = 0
        self.ended: str | None = None

    def abort(self) -> None:
        self.ended = "abort"

    def close(self) -> None:
        self.ended = "close"

    def get_write_buffer_size(self) -> int:
        return self.unsent


def admitted(table: Connections, address: str = "10.0.0.1", now_s: float = 0.0) -> Connection:
    place, _ = table.admit(address, now_s)
    assert place is not None
    place.transport = Wire()
    return place


def wire_of(place: Connection) -> Wire:
    assert isinstance(place.transport, Wire)
    return place.transport


def test_who_says_nothing_makes_room_oldest_first() -> None:
    table = Connections(4, is_exempt=lambda address: True)
    silent = [admitted(table) for _ in range(4)]
    _, pushed = table.admit("10.0.0.2", 1.0)
    assert pushed is silent[0]
    assert len(table) == 4


def test_one_address_keeps_at_most_half_of_the_places_waiting() -> None:
    table = Connections(8)
    silent = [admitted(table) for _ in range(20)]
    assert len(table) == 4
    assert admitted(table, "10.0.0.2") is not None
    assert len(table) == 5
    assert table.counts.pushed_out == 16
    assert silent[-1].is_waiting


def test_nobody_is_accepted_while_who_would_make_room_has_only_just_connected() -> None:
    table = Connections(8)
    for _ in range(3):
        admitted(table, now_s=5.0)
    assert table.early_s(5.0) == 0.0
    fourth = admitted(table, now_s=5.01)
    assert table.early_s(5.02) == pytest.approx(0.03)
    assert table.early_s(5.05) == 0.0
    fourth.leave()
    assert table.early_s(5.02) == 0.0


def test_one_who_has_waited_longer_makes_room_for_a_newcomer_at_once() -> None:
    table = Connections(8)
    for now_s in (0.0, 5.0, 5.0, 5.0):
        admitted(table, now_s=now_s)
    assert table.early_s(5.0) == 0.0


def test_where_nobody_would_make_room_newcomers_are_refused_at_once() -> None:
    table = Connections(4)
    for _ in range(4):
        admitted(table).enter(Phase.ANSWERING, 0.0)
    assert table.early_s(0.0) == 0.0


def test_the_crowd_behind_a_proxy_makes_room_only_when_all_places_are_taken() -> None:
    table = Connections(8, is_exempt=lambda address: True)
    for _ in range(7):
        admitted(table)
    assert table.early_s(0.0) == 0.0
    admitted(table)
    assert table.early_s(0.0) == pytest.approx(0.05)


def test_a_proxy_may_have_all_places() -> None:
    table = Connections(8, is_exempt=lambda address: address == "10.0.0.9")
    for _ in range(8):
        admitted(table, "10.0.0.9")
    assert len(table) == 8


def test_the_address_with_most_who_wait_makes_room() -> None:
    table = Connections(8)
    one = admitted(table, "10.0.0.1")
    many = [admitted(table, f"10.0.0.{2 + n % 2}") for n in range(7)]
    _, pushed = table.admit("10.0.0.7", 1.0)
    assert pushed in many
    assert pushed is not one


def test_nobody_who_is_being_served_makes_room() -> None:
    table = Connections(4, is_exempt=lambda address: True)
    for _ in range(4):
        admitted(table).enter(Phase.ANSWERING, 0.0)
    assert table.admit("10.0.0.2", 1.0) == (None, None)
    assert table.counts.refused == 1
    assert table.is_busy


def test_who_does_not_read_an_answer_makes_room() -> None:
    table = Connections(2, is_exempt=lambda address: True)
    stuck, served = admitted(table), admitted(table)
    for place in (stuck, served):
        place.enter(Phase.ANSWERING, 0.0)
    stuck.stall(True)
    _, pushed = table.admit("10.0.0.2", 1.0)
    assert pushed is stuck


@pytest.mark.parametrize(
    ("phase", "ends_s"), [(Phase.HEAD, 10), (Phase.BODY, 30), (Phase.IDLE, 20), (Phase.DISCARDING, 2)]
)
def test_a_phase_that_waits_for_its_client_ends(phase: Phase, ends_s: float) -> None:
    table = Connections(4)
    place = admitted(table)
    place.enter(phase, 100.0)
    assert list(table.overdue(100.0 + ends_s - 0.1)) == []
    assert list(table.overdue(100.0 + ends_s)) == [place]
    place.close()
    assert wire_of(place).ended == "close"


@pytest.mark.parametrize("phase", [Phase.ANSWERING, Phase.SOCKET])
def test_what_the_hub_is_at_work_on_has_no_end(phase: Phase) -> None:
    table = Connections(4)
    admitted(table).enter(phase, 0.0)
    assert [list(table.overdue(now_s)) for now_s in (0.0, 1e6)] == [[], []]


@pytest.mark.parametrize("phase", list(Phase))
def test_who_reads_nothing_of_what_was_sent_is_cut_off(phase: Phase) -> None:
    table = Connections(4)
    place = admitted(table)
    wire_of(place).unsent = 5000
    for now_s in range(int(STALLED_S)):
        place.enter(phase, now_s)
        assert list(table.overdue(now_s)) == []
    place.enter(phase, STALLED_S)
    assert list(table.overdue(STALLED_S)) == [place]
    place.close()
    assert wire_of(place).ended == "abort"


def test_who_reads_slowly_is_not_cut_off() -> None:
    table = Connections(4)
    place = admitted(table)
    place.enter(Phase.ANSWERING, 0.0)
    for now_s in range(200):
        wire_of(place).unsent = 100_000 - now_s
        assert list(table.overdue(now_s)) == []


def test_an_answer_that_is_still_being_read_is_not_idle() -> None:
    table = Connections(4)
    place = admitted(table)
    place.enter(Phase.IDLE, 0.0)
    for now_s in range(100):
        wire_of(place).unsent = 1000 - now_s
        assert list(table.overdue(now_s)) == []
    wire_of(place).unsent = 0
    assert list(table.overdue(118.0)) == []
    assert list(table.overdue(119.0)) == [place]


def test_unread_answers_of_all_together_are_bounded_the_largest_goes_first() -> None:
    table = Connections(100)
    places = [admitted(table) for _ in range(40)]
    for size, place in enumerate(places, 1):
        place.enter(Phase.IDLE, 0.0)
        wire_of(place).unsent = size << 17
    assert list(table.overdue(0.0)) == []
    cut = list(table.overdue(1.0))
    assert cut[0] is places[-1]
    left = sum(wire_of(place).unsent for place in places if place not in cut)
    assert left <= 64 << 20
    assert left + wire_of(cut[-1]).unsent > 64 << 20


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, *Phase]), st.integers(0, 9))))
def test_the_count_of_those_who_wait_is_right_whatever_happens(steps: list[tuple[str, Phase | None, int]]) -> None:
    table, places = Connections(5), list[Connection]()
    for address, phase, which in steps:
        if phase is None or not places:
            place, _ = table.admit(address, 0.0)
            places += [place] if place is not None else []
        elif which == 9:
            places.pop().leave()
        else:
            places[which % len(places)].enter(phase, 0.0)
            places[which % len(places)].stall(which % 2 == 1)
        assert len(table) <= 5
        kept = [place for place in places if place in table._all]
        assert len(table) == len(kept)
        assert table._waiting_count == sum(place.is_waiting for place in kept)
        assert table._waiting_count == sum(map(len, table._waiting.values()))
