"""Spoiled replies, and which units have which fault."""

from collections import Counter

import pytest

from hub.simulators.nl43.faults import OF_REPLY, Fault, FaultState, parse_faults, spoil, spread_faults

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
    assert [state.take() for _ in range(3)] == [Fault.GARBLED, Fault.GARBLED, Fault.NONE]


def test_a_fault_without_a_count_lasts() -> None:
    state = FaultState(Fault.GARBLED)
    assert {state.take() for _ in range(9)} == {Fault.GARBLED}
    assert Fault.MUTE not in OF_REPLY


def test_shares_are_read_in_percent() -> None:
    assert parse_faults("mute=10%, refuse=2.5") == {Fault.MUTE: 0.1, Fault.REFUSE: 0.025}
    assert parse_faults("") == {}


@pytest.mark.parametrize(
    ("text", "message"), [("mut=1%", "is no fault"), ("mute", "needs a share"), ("mute=60%,refuse=60%", "exceed")]
)
def test_what_cannot_be_read_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_faults(text)


def test_the_same_units_fail_every_time_and_not_side_by_side() -> None:
    shares = parse_faults("mute=10%,refuse=5%")
    spread = spread_faults(shares, 1000)
    assert spread == spread_faults(shares, 1000)
    assert Counter(spread) == {Fault.NONE: 850, Fault.MUTE: 100, Fault.REFUSE: 50}
    for start in range(0, 1000, 100):
        assert 7 <= spread[start : start + 100].count(Fault.MUTE) <= 13
