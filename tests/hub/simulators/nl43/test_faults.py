"""Spoiled replies, and the assignment of faults to units."""

import pytest

from hub.simulators.nl43.faults import OF_REPLY, Fault, FaultState, spoil

REPLY = [b"R+0000\r\n", b" 46.2, 43.7\r\n"]


@pytest.mark.parametrize(
    ("fault", "lines"),
    [
        (Fault.NONE, REPLY),
        (Fault.LATE, REPLY),
        (Fault.GARBLED, [b"R+0000\r\n", b" #6.#, #3.#\r\n"]),
        (Fault.TRUNCATED, [b"R+0000\r\n", b" 46.2\r\n"]),
        (Fault.NON_ASCII, [b"R+0000\r\n", b" \xb46.\xb2, \xb43.\xb7\r\n"]),
        (Fault.STRAY_LINE, [*REPLY, b"Stop\r\n"]),
        (Fault.LOSE_REPLY, []),
        (Fault.RESET_MID_REPLY, [b"R+0000\r\n", b" 46.2"]),
        (Fault.SHORT, [b"R+0000\r\n", b" 6.2, 43.7\r\n"]),
    ],
)
def test_the_last_line_suffers(fault: Fault, lines: list[bytes]) -> None:
    assert spoil(fault, REPLY) == lines


def test_an_oversized_line_never_ends() -> None:
    data = b"".join(spoil(Fault.OVERSIZED, REPLY)).partition(b"\r\n")[2]
    assert len(data) > 8192
    assert b"\n" not in data


def test_a_fault_for_some_replies_goes_away() -> None:
    state = FaultState(Fault.GARBLED, times=2)
    assert [state.next() for _ in range(3)] == [Fault.GARBLED, Fault.GARBLED, Fault.NONE]


def test_a_fault_without_a_count_lasts() -> None:
    state = FaultState(Fault.GARBLED)
    assert {state.next() for _ in range(9)} == {Fault.GARBLED}
    assert Fault.MUTE not in OF_REPLY
