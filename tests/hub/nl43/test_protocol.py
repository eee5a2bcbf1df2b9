"""Bytes in, events out."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.nl43 import commands as c
from hub.nl43.protocol import (
    MAX_LINE,
    NEED_DATA,
    Event,
    Protocol,
    ProtocolError,
    ProtocolMisuse,
    Reply,
    Result,
    State,
    StreamLine,
)


def events(protocol: Protocol, *chunks: bytes) -> list[Event]:
    seen: list[Event] = []
    for chunk in chunks:
        protocol.receive_data(chunk)
        while (event := protocol.next_event()) is not NEED_DATA:
            seen.append(event)
    return seen


def exchange(command: c.Command, *chunks: bytes) -> list[Event]:
    protocol = Protocol()
    protocol.send(command)
    return events(protocol, *chunks)


def streaming() -> Protocol:
    protocol = Protocol()
    protocol.send(c.DRD)
    assert events(protocol, b"R+0000\r\n") == [Reply(c.DRD, Result.NORMAL, None)]
    return protocol


@pytest.mark.parametrize(
    ("command", "wire", "received", "line"),
    [
        (c.MEASURE, b"Measure?\r\n", b"R+0000\r\nStart\r\n", "Start"),
        (c.MEASURE, b"Measure?\r\n", b"R+0000\r\nStop\r\n", "Stop"),
        (c.MEASURE_START, b"Measure,Start\r\n", b"R+0000\r\n", None),
        (c.MEASURE_STOP, b"Measure,Stop\r\n", b"R+0000\r\n", None),
        (c.CLOCK, b"Clock?\r\n", b"R+0000\r\n2025/12/24 02:10:55\r\n", "2025/12/24 02:10:55"),
        (c.BATTERY_LEVEL, b"Battery Level?\r\n", b"R+0000\r\nFull\r\n", "Full"),
        (c.FREQUENCY_WEIGHTING, b"Frequency Weighting (Main)?\r\n", b"R+0000\r\nA\r\n", "A"),
        (c.TIME_WEIGHTING, b"Time Weighting (Main)?\r\n", b"R+0000\r\nS\r\n", "S"),
        (c.FTP, b"FTP?\r\n", b"R+0000\r\nOn\r\n", "On"),
        (c.SLEEP_MODE, b"Sleep Mode?\r\n", b"R+0000\r\nOff\r\n", "Off"),
        (c.OVERWRITE, b"Overwrite?\r\n", b"R+0000\r\nNone\r\n", "None"),
    ],
)
def test_an_accepted_command_is_complete_with_its_data_line(
    command: c.Command, wire: bytes, received: bytes, line: str | None
) -> None:
    protocol = Protocol()
    assert protocol.send(command) == wire
    assert events(protocol, received) == [Reply(command, Result.NORMAL, line)]
    assert protocol.state is State.IDLE


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (c.request("ManualStore"), 1),
        (c.request("Manual Store"), 3),
        (c.setting("Clock", "2025/12/24,01:13:57"), 2),
        (c.setting("DOD", "1"), 3),
        (c.MEASURE_STOP, 4),
        (c.MANUAL_STORE, 4),
        (c.set_sleep_mode(True), 4),
        (c.DRD, 4),
    ],
)
def test_a_refusal_is_a_complete_answer_and_the_next_command_may_follow(command: c.Command, code: int) -> None:
    protocol = Protocol()
    protocol.send(command)
    [reply] = events(protocol, b"R+%04d\r\n" % code)
    assert isinstance(reply, Reply)
    assert (reply.result, reply.line, reply.result.ok) == (code, None, False)
    assert reply.result.meaning
    assert protocol.send(c.DOD) == b"DOD?\r\n"


@pytest.mark.parametrize(
    "received",
    [
        b"R+0000\r\nFull\r\n",
        b"R+0000\r\nFull\r\n$",
        b"$R+0000\r\nFull\r\n",
        b"$R+0000\r\n$Full\r\n$",
        b"$$$R+0000\r\n$ Full\r\n$$",
        b"$\r\nR+0000\r\n$\r\nFull\r\n$\r\n",
        b"R+0000$\r\nFull$\r\n",
        b"R+0000\nFull\n",
        b"\r\nR+0000\r\n\r\nFull\r\n\r\n",
        b"Battery Level?\r\nR+0000\r\nFull\r\n",
        b"$battery level?\r\nR+0000\r\nFull\r\n$",
    ],
)
def test_prompts_echo_and_blank_lines_are_skipped_wherever_they_stand(received: bytes) -> None:
    for chunks in ([received], [bytes([byte]) for byte in received]):
        assert exchange(c.BATTERY_LEVEL, *chunks) == [Reply(c.BATTERY_LEVEL, Result.NORMAL, "Full")]


def test_a_prompt_that_came_while_idle_does_not_stop_the_next_command() -> None:
    protocol = Protocol()
    protocol.receive_data(b"$ \r\n$")
    assert protocol.send(c.DOD) == b"DOD?\r\n"


def test_a_second_command_is_refused_while_a_reply_is_awaited() -> None:
    protocol = Protocol()
    protocol.send(c.DOD)
    with pytest.raises(ProtocolMisuse, match="await result"):
        protocol.send(c.MEASURE)
    events(protocol, b"R+0000\r\n")
    with pytest.raises(ProtocolMisuse, match="await line"):
        protocol.send(c.MEASURE)


@pytest.mark.parametrize(
    ("received", "message"),
    [
        (b"R+00\r\n", "no result code"),
        (b"R+0005\r\n", "no result code"),
        (b"46.2, 43.7\r\n", "no result code"),
        (b"\xff\xfe\r\n", "no result code"),
        (b"R+0000\r\nR+0000\r\n", "second result code"),
        (b"R+0000\r\nFu\xe9ll\r\n", "beyond ASCII"),
        (b"R+0000\r\nFu\x00ll\r\n", "control characters"),
        (b"R+0000\r\nFull\r\nFull\r\n", "nobody asked for"),
        (b"x" * (MAX_LINE + 1), "more than 8192 bytes"),
        (b"x" * (MAX_LINE + 1) + b"\r\n", "more than 8192 bytes"),
    ],
)
def test_what_the_protocol_does_not_allow_closes_it(received: bytes, message: str) -> None:
    protocol = Protocol()
    protocol.send(c.BATTERY_LEVEL)
    with pytest.raises(ProtocolError, match=message) as raised:
        events(protocol, received)
    assert len(str(raised.value)) < 400
    assert str(raised.value).isprintable()
    assert protocol.state is State.CLOSED
    with pytest.raises(ProtocolError, match=message):
        protocol.next_event()
    with pytest.raises(ProtocolMisuse):
        protocol.send(c.DOD)


@pytest.mark.parametrize(
    "stray", [b"R+0000\r\n", b"R+0000\r\nStop\r\n", b"half a li", b"$R+", b"163, 43.7,", b"\xff"]
)
def test_what_arrived_before_a_command_is_dropped_and_counted_and_never_its_answer(stray: bytes) -> None:
    protocol = Protocol()
    protocol.receive_data(stray)
    protocol.send(c.MEASURE)
    assert protocol.stale_bytes == len(stray)
    assert events(protocol, b"R+0000\r\nStart\r\n") == [Reply(c.MEASURE, Result.NORMAL, "Start")]


def test_what_follows_a_reply_is_not_carried_into_the_next_exchange() -> None:
    protocol = Protocol()
    protocol.send(c.MEASURE)
    protocol.receive_data(b"R+0000\r\nStop\r\nR+0000\r\nSto")
    assert protocol.next_event() == Reply(c.MEASURE, Result.NORMAL, "Stop")
    assert protocol.discard() == len(b"R+0000\r\nSto")
    protocol.send(c.MEASURE)
    assert events(protocol, b"R+0000\r\nStart\r\n") == [Reply(c.MEASURE, Result.NORMAL, "Start")]


@pytest.mark.parametrize(
    "noise",
    [b"$", b"$ \r\n$", b"\x00\x11\x13\x07", b"\xff\xfb\x01\xff\xfd\x03\xff\xfa\x2c\x00\xff\xf0", b"\xff\xf1\r\n"],
)
def test_mere_noise_between_commands_is_neither_counted_nor_a_fault(noise: bytes) -> None:
    protocol = Protocol()
    protocol.receive_data(noise)
    assert protocol.discard() == 0
    protocol.send(c.MEASURE)
    assert events(protocol, b"R+0000\r\nStop\r\n") == [Reply(c.MEASURE, Result.NORMAL, "Stop")]
    assert protocol.stale_bytes == 0


@pytest.mark.parametrize(
    "received",
    [
        b"\x00R+0000\r\nFull\r\n",
        b"\x11R+0000\r\n\x11Full\x13\r\n\x13",
        b"R+0000\r\x00\nFull\r\x00\n",
        b"\x02R+0000\x03\r\n\x02Full\x03\r\n",
        b"\x00\r\n$\x00$R+0000\r\n\x7fFull\r\n",
        b"\xff\xfb\x01\xff\xfd\x03R+0000\r\n\xff\xf1Full\r\n",
        b"\xff\xfa\x2c\x01\x00\xff\xf0$R+0000\r\nFull\r\n",
    ],
)
def test_control_characters_and_telnet_round_a_line_are_skipped(received: bytes) -> None:
    for chunks in ([received], [bytes([byte]) for byte in received]):
        assert exchange(c.BATTERY_LEVEL, *chunks) == [Reply(c.BATTERY_LEVEL, Result.NORMAL, "Full")]


@pytest.mark.parametrize("before", [b"", b"$", b"\x11", b"$\x00"])
def test_the_blanks_of_a_line_with_columns_belong_to_it(before: bytes) -> None:
    [reply] = exchange(c.DOD, b"R+0000\r\n" + before + b" 45.8,  -.-,0\r\n")
    assert isinstance(reply, Reply)
    assert reply.line == " 45.8,  -.-,0"


@pytest.mark.parametrize(
    "code", [b"R+000", b"R+00000", b"r+0000", b"R-0000", b"R+0000 ", b"R +0000", b"R+0O00", b"+0000"]
)
def test_a_result_code_has_exactly_its_form(code: bytes) -> None:
    with pytest.raises(ProtocolError, match="no result code"):
        exchange(c.BATTERY_LEVEL, code + b"\r\nFull\r\n")


def test_the_bytes_of_a_bad_reply_and_of_a_rejected_one_are_counted() -> None:
    protocol = Protocol()
    protocol.send(c.BATTERY_LEVEL)
    with pytest.raises(ProtocolError):
        events(protocol, b"R+0000\r\nFu\x00ll\r\nmore")
    assert protocol.stale_bytes == len(b"R+0000\r\nFu\x00ll\r\nmore")
    protocol = Protocol()
    protocol.send(c.BATTERY_LEVEL)
    protocol.receive_data(b"R+0000\r\nFull\r\nStop\r\n")
    assert protocol.next_event() == Reply(c.BATTERY_LEVEL, Result.NORMAL, "Full")
    protocol.reject()
    assert protocol.stale_bytes == len(b"R+0000\r\nFull\r\nStop\r\n")


def test_endless_telnet_that_never_ends_is_looked_through_quickly() -> None:
    protocol = Protocol()
    protocol.receive_data(b"\xff\xfa\xff\xf0" * 4000 + b"x")
    assert protocol.discard() == 16_001


def test_prompts_without_end_cost_no_memory_and_no_error() -> None:
    protocol = Protocol()
    protocol.send(c.BATTERY_LEVEL)
    for _ in range(10):
        assert events(protocol, b"$" * MAX_LINE) == []
    assert events(protocol, b"R+0000\r\nFull\r\n") == [Reply(c.BATTERY_LEVEL, Result.NORMAL, "Full")]


def test_a_stream_delivers_lines_until_it_is_stopped() -> None:
    protocol = streaming()
    assert events(protocol, b"163, 43.7\r\n$164, 43.8\r\n165") == [StreamLine("163, 43.7"), StreamLine("164, 43.8")]
    with pytest.raises(ProtocolMisuse, match="streaming"):
        protocol.send(c.DOD)
    assert protocol.stop_stream() == b"\x1a"


def test_lines_in_flight_after_the_stop_are_discarded_whatever_they_hold() -> None:
    protocol = streaming()
    events(protocol, b"163, 43")
    protocol.stop_stream()
    assert events(protocol, b".7\r\n164, 43.8\r\n", b"\xff\x1a\r\n$", b"y" * (MAX_LINE + 1)) == []
    with pytest.raises(ProtocolMisuse, match="stopping"):
        protocol.send(c.MEASURE)
    protocol.stream_ended()
    assert protocol.send(c.MEASURE) == b"Measure?\r\n"
    assert events(protocol, b"R+0000\r\nStop\r\n") == [Reply(c.MEASURE, Result.NORMAL, "Stop")]


def test_a_stream_is_stopped_only_once_and_only_if_it_runs() -> None:
    protocol = Protocol()
    with pytest.raises(ProtocolMisuse):
        protocol.stop_stream()
    protocol = streaming()
    with pytest.raises(ProtocolMisuse):
        protocol.stream_ended()
    protocol.stop_stream()
    with pytest.raises(ProtocolMisuse):
        protocol.stop_stream()


RECEIVED = st.one_of(
    st.lists(
        st.sampled_from(
            [b"$", b"\r\n", b"R+0000\r\n", b"R+0004\r\n", b"Full\r\n", b"DOD?\r\n", b" 46.2,", b"\xff", b"x" * 8000]
        )
    ).map(b"".join),
    st.binary(max_size=40),
)


def outcome(command: c.Command, chunks: list[bytes]) -> tuple[list[Event], str | None, State]:
    protocol = Protocol()
    protocol.send(command)
    seen: list[Event] = []
    try:
        for chunk in chunks:
            protocol.receive_data(chunk)
            while (event := protocol.next_event()) is not NEED_DATA:
                seen.append(event)
    except ProtocolError as error:
        return seen, str(error).partition(":")[0], protocol.state
    return seen, None, protocol.state


@given(
    command=st.sampled_from([c.DOD, c.DRD, c.MEASURE_START]),
    received=RECEIVED,
    cuts=st.lists(st.integers(0, 9000), max_size=12),
)
def test_the_same_bytes_mean_the_same_however_they_are_cut(
    command: c.Command, received: bytes, cuts: list[int]
) -> None:
    edges = [0, *sorted(min(cut, len(received)) for cut in cuts), len(received)]
    chunks = [received[start:end] for start, end in pairwise(edges)]
    assert outcome(command, chunks) == outcome(command, [received])
