"""The table of connections accepts, evicts and times out by its limits."""

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


def admit(table: Connections, address: str = "10.0.0.1", now_s: float = 0.0) -> Connection:
    connection, _ = table.admit(address, now_s)
    assert connection is not None
    connection.transport = Wire()
    return connection


def wire_of(connection: Connection) -> Wire:
    assert isinstance(connection.transport, Wire)
    return connection.transport


def test_a_new_connection_evicts_the_one_that_has_waited_longest() -> None:
    table = Connections(4, is_exempt=lambda address: True)
    silent = [admit(table) for _ in range(4)]
    _, evicted = table.admit("10.0.0.2", 1.0)
    assert evicted is silent[0]
    assert len(table) == 4


def test_one_address_has_at_most_half_of_the_connections_waiting() -> None:
    table = Connections(8)
    silent = [admit(table) for _ in range(20)]
    assert len(table) == 4
    assert admit(table, "10.0.0.2") is not None
    assert len(table) == 5
    assert table.counts.evicted == 16
    assert silent[-1].is_waiting


def test_nothing_is_accepted_while_the_connection_to_evict_is_in_its_grace_period() -> None:
    table = Connections(8)
    for _ in range(3):
        admit(table, now_s=5.0)
    assert table.accept_delay_s(5.0) == 0.0
    fourth = admit(table, now_s=5.01)
    assert table.accept_delay_s(5.02) == pytest.approx(0.03)
    assert table.accept_delay_s(5.05) == 0.0
    fourth.release()
    assert table.accept_delay_s(5.02) == 0.0


def test_a_connection_beyond_its_grace_period_is_evicted_at_once() -> None:
    table = Connections(8)
    for now_s in (0.0, 5.0, 5.0, 5.0):
        admit(table, now_s=now_s)
    assert table.accept_delay_s(5.0) == 0.0


def test_without_a_waiting_connection_new_ones_are_refused_at_once() -> None:
    table = Connections(4)
    for _ in range(4):
        admit(table).enter(Phase.ANSWERING, 0.0)
    assert table.accept_delay_s(0.0) == 0.0


def test_connections_of_a_proxy_are_evicted_only_when_all_slots_are_used() -> None:
    table = Connections(8, is_exempt=lambda address: True)
    for _ in range(7):
        admit(table)
    assert table.accept_delay_s(0.0) == 0.0
    admit(table)
    assert table.accept_delay_s(0.0) == pytest.approx(0.05)


def test_a_proxy_may_use_all_slots() -> None:
    table = Connections(8, is_exempt=lambda address: address == "10.0.0.9")
    for _ in range(8):
        admit(table, "10.0.0.9")
    assert len(table) == 8


def test_a_connection_of_the_address_with_most_waiting_is_evicted() -> None:
    table = Connections(8)
    one = admit(table, "10.0.0.1")
    many = [admit(table, f"10.0.0.{2 + n % 2}") for n in range(7)]
    _, evicted = table.admit("10.0.0.7", 1.0)
    assert evicted in many
    assert evicted is not one


def test_a_connection_that_is_being_served_is_never_evicted() -> None:
    table = Connections(4, is_exempt=lambda address: True)
    for _ in range(4):
        admit(table).enter(Phase.ANSWERING, 0.0)
    assert table.admit("10.0.0.2", 1.0) == (None, None)
    assert table.counts.refused == 1
    assert table.is_busy


def test_a_connection_that_does_not_read_its_response_is_evicted() -> None:
    table = Connections(2, is_exempt=lambda address: True)
    stuck, served = admit(table), admit(table)
    for connection in (stuck, served):
        connection.enter(Phase.ANSWERING, 0.0)
    stuck.stall(True)
    _, evicted = table.admit("10.0.0.2", 1.0)
    assert evicted is stuck


@pytest.mark.parametrize(
    ("phase", "ends_s"), [(Phase.HEAD, 10), (Phase.BODY, 30), (Phase.IDLE, 20), (Phase.DISCARDING, 2)]
)
def test_a_phase_that_waits_for_its_client_ends(phase: Phase, ends_s: float) -> None:
    table = Connections(4)
    connection = admit(table)
    connection.enter(phase, 100.0)
    assert list(table.overdue(100.0 + ends_s - 0.1)) == []
    assert list(table.overdue(100.0 + ends_s)) == [connection]
    connection.close()
    assert wire_of(connection).ended == "close"


@pytest.mark.parametrize("phase", [Phase.ANSWERING, Phase.SOCKET])
def test_a_connection_that_the_hub_is_serving_never_times_out(phase: Phase) -> None:
    table = Connections(4)
    admit(table).enter(phase, 0.0)
    assert [list(table.overdue(now_s)) for now_s in (0.0, 1e6)] == [[], []]


@pytest.mark.parametrize("phase", list(Phase))
def test_a_client_that_reads_nothing_is_closed(phase: Phase) -> None:
    table = Connections(4)
    connection = admit(table)
    wire_of(connection).unsent = 5000
    for now_s in range(int(STALLED_S)):
        connection.enter(phase, now_s)
        assert list(table.overdue(now_s)) == []
    connection.enter(phase, STALLED_S)
    assert list(table.overdue(STALLED_S)) == [connection]
    connection.close()
    assert wire_of(connection).ended == "abort"


def test_a_client_that_reads_slowly_is_not_closed() -> None:
    table = Connections(4)
    connection = admit(table)
    connection.enter(Phase.ANSWERING, 0.0)
    for now_s in range(200):
        wire_of(connection).unsent = 100_000 - now_s
        assert list(table.overdue(now_s)) == []


def test_a_connection_whose_response_is_still_being_read_is_not_idle() -> None:
    table = Connections(4)
    connection = admit(table)
    connection.enter(Phase.IDLE, 0.0)
    for now_s in range(100):
        wire_of(connection).unsent = 1000 - now_s
        assert list(table.overdue(now_s)) == []
    wire_of(connection).unsent = 0
    assert list(table.overdue(118.0)) == []
    assert list(table.overdue(119.0)) == [connection]


def test_unread_bytes_of_all_connections_are_bounded_and_the_largest_is_closed_first() -> None:
    table = Connections(100)
    connections = [admit(table) for _ in range(40)]
    for size, connection in enumerate(connections, 1):
        connection.enter(Phase.IDLE, 0.0)
        wire_of(connection).unsent = size << 17
    assert list(table.overdue(0.0)) == []
    cut = list(table.overdue(1.0))
    assert cut[0] is connections[-1]
    left = sum(wire_of(connection).unsent for connection in connections if connection not in cut)
    assert left <= 64 << 20
    assert left + wire_of(cut[-1]).unsent > 64 << 20


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, *Phase]), st.integers(0, 9))))
def test_the_count_of_waiting_connections_is_always_right(
    steps: list[tuple[str, Phase | None, int]],
) -> None:
    table, connections = Connections(5), list[Connection]()
    for address, phase, which in steps:
        if phase is None or not connections:
            connection, _ = table.admit(address, 0.0)
            connections += [connection] if connection is not None else []
        elif which == 9:
            connections.pop().release()
        else:
            connections[which % len(connections)].enter(phase, 0.0)
            connections[which % len(connections)].stall(which % 2 == 1)
        assert len(table) <= 5
        kept = [connection for connection in connections if connection in table._all]
        assert len(table) == len(kept)
        assert table._waiting_count == sum(connection.is_waiting for connection in kept)
        assert table._waiting_count == sum(map(len, table._waiting.values()))
