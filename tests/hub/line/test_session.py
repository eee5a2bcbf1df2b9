"""What arrives over one connection, in virtual time."""

from collections.abc import Awaitable

import anyio
import pytest

from hub.line.session import ExchangeFailed, Line
from hub.readings.snapshot import Failure
from tests.elapsed import takes_less_than
from tests.hub.line.wire import Wire, open_session
from tests.virtual_time import START_S, virtual

ASK = b"?\r\n"


def answering(wire: Wire, *answers: bytes, after_s: float = 0.05) -> None:
    """Each command is answered with the next of these."""
    waiting = iter(answers)
    wire.on_sent = lambda: wire.says(next(waiting), after_s)


def temperature(line: Line) -> float | None:
    return line.values["temperature"]


async def failure_of(asking: Awaitable[Line]) -> ExchangeFailed:
    with pytest.raises(ExchangeFailed) as caught:
        await asking
    return caught.value


@virtual
async def test_a_command_is_answered_by_the_next_line() -> None:
    async with open_session(ASK) as (wire, session):
        answering(wire, b"T=21.5\r\n", b"T=-0.5\r\n")
        line = await session.ask(3.0)
        assert (temperature(line), line.raw) == (21.5, "T=21.5")
        assert line.time == pytest.approx(START_S + 0.05)
        assert temperature(await session.ask(3.0)) == -0.5
        assert wire.sent == [ASK, ASK]
        assert (session.bytes_sent, session.bytes_received, session.stale_bytes) == (6, 16, 0)


@virtual
async def test_an_answer_may_come_in_pieces_after_an_echo_and_beside_other_lines() -> None:
    async with open_session(ASK) as (wire, session):
        answering(wire, b"?\r\nSTATUS OK\r\nT=2")
        wire.says(b"1.5\r\n", after_s=0.5)
        assert temperature(await session.ask(3.0)) == 21.5
        assert session.stale_bytes == len("?STATUS OK")


@virtual
async def test_nothing_that_arrived_before_the_command_was_sent_is_its_answer() -> None:
    async with open_session(ASK) as (wire, session):
        wire.says(b"T=1.0\r\nT=2.0\r\n")
        answering(wire, b"T=21.5\r\n")
        assert temperature(await session.ask(3.0)) == 21.5


@virtual
async def test_what_arrives_at_the_very_moment_of_sending_is_no_answer() -> None:
    async with open_session(ASK) as (wire, session):
        await anyio.sleep(1.0)
        wire.says(b"T=1.0\r\n")  # in the socket, and not read yet
        answering(wire, b"T=21.5\r\n")
        assert temperature(await session.ask(3.0)) == 21.5


@virtual
async def test_the_end_of_a_line_that_began_before_the_command_is_no_answer() -> None:
    async with open_session(ASK) as (wire, session):
        wire.says(b"T=1")
        wire.says(b"9.9\r\n", after_s=0.2)
        answering(wire, b"T=21.5\r\n")
        assert temperature(await session.ask(3.0)) == 21.5


@virtual
async def test_a_beginning_that_never_ended_does_not_spoil_the_answer() -> None:
    async with open_session(ASK) as (wire, session):
        wire.says(b"T=1")
        answering(wire, b"T=21.5\r\n")
        assert temperature(await session.ask(3.0)) == 21.5
        assert session.stale_bytes == 3


@virtual
async def test_a_late_answer_to_an_earlier_command_is_dropped() -> None:
    async with open_session(ASK) as (wire, session):
        answering(wire, b"garbage\r\n", b"T=21.5\r\n")
        assert (await failure_of(session.ask(1.0))).failure is Failure.PROTOCOL
        wire.says(b"T=1.0\r\n", after_s=0.1)
        await anyio.sleep(0.15)
        assert temperature(await session.ask(1.0)) == 21.5


@virtual
async def test_silence_is_mute_and_costs_the_connection() -> None:
    async with open_session(ASK) as (_, session):
        with takes_less_than(3.1):
            failed = await failure_of(session.ask(3.0))
        assert (failed.failure, failed.is_lost) == (Failure.MUTE, True)
        assert failed.detail == r"no reply to b'?\r\n' in 3 s"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"ERROR 7\r\n", "no line that came has the expected form, such as 'ERROR 7'"),
        (b"\r\n\r\n", "only blank lines came"),
        (b"T=21.5", "no end of a line: is `end` what ends the instrument's lines?"),
        (b"T" * 1500 + b"\r\n", "the line that came is too long"),
        (b"\xff\x00\x80\r\n", "such as '\\xff\\x00\\x80'"),
    ],
)
@virtual
async def test_an_answer_of_another_form_is_a_protocol_failure_and_keeps_the_connection(
    answer: bytes, detail: str
) -> None:
    async with open_session(ASK) as (wire, session):
        answering(wire, answer)
        failed = await failure_of(session.ask(3.0))
        assert (failed.failure, failed.is_lost) == (Failure.PROTOCOL, False)
        assert detail in failed.detail


@virtual
async def test_an_instrument_that_never_gets_quiet_is_not_asked_and_lost() -> None:
    async with open_session(ASK) as (wire, session):
        for tenth in range(60):
            wire.says(b"T=1.0\r\n", after_s=0.01 + tenth / 10)
        await anyio.sleep(0.05)
        failed = await failure_of(session.ask(3.0))
        assert (failed.failure, failed.is_lost) == (Failure.PROTOCOL, True)
        assert "leave `ask` out" in failed.detail
        assert wire.sent == []


@pytest.mark.parametrize("ask", [ASK, None])
@virtual
async def test_a_connection_that_is_closed_is_lost_at_once(ask: bytes | None) -> None:
    async with open_session(ask) as (wire, session):
        wire.says(b"", after_s=1.0)
        with takes_less_than(1.1):
            failed = await failure_of(session.ask(30.0) if ask else session.newest(30.0, 1.0))
        assert (failed.failure, failed.is_lost) == (Failure.MUTE, True)
        await anyio.sleep(0.1)
        assert wire.is_closed


@virtual
async def test_nothing_is_sent_over_a_connection_that_was_closed_a_moment_ago() -> None:
    async with open_session(ASK) as (wire, session):
        await anyio.sleep(1.0)
        wire.says(b"")  # in the socket, and not read yet
        failed = await failure_of(session.ask(3.0))
        assert (failed.failure, failed.is_lost) == (Failure.MUTE, True)
        assert wire.sent == []


@virtual
async def test_a_command_that_cannot_be_sent_costs_the_connection() -> None:
    async with open_session(ASK) as (wire, session):

        def broken() -> None:
            raise BrokenPipeError

        wire.on_sent = broken
        failed = await failure_of(session.ask(3.0))
        assert (failed.failure, failed.is_lost) == (Failure.MUTE, True)


@virtual
async def test_the_line_under_way_at_the_connect_is_dropped_where_the_instrument_sends_by_itself() -> None:
    async with open_session(None) as (wire, session):
        wire.says(b"=3.5\r\nT=23.5\r\n")
        assert temperature(await session.newest(30.0, 1.0)) == 23.5


@virtual
async def test_a_fresh_line_is_given_once_and_then_the_next_is_waited_for() -> None:
    async with open_session(None) as (wire, session):
        wire.says(b"\r\nT=1.0\r\nT=2.0\r\n", after_s=1.0)
        wire.says(b"T=3.0\r\n", after_s=2.5)
        await anyio.sleep(1.2)
        assert temperature(await session.newest(30.0, 1.0)) == 2.0
        line = await session.newest(30.0, 1.0)
        assert temperature(line) == 3.0
        assert line.time == pytest.approx(START_S + 2.5)


@virtual
async def test_a_line_that_is_no_longer_fresh_is_not_given() -> None:
    async with open_session(None) as (wire, session):
        wire.says(b"\r\nT=1.0\r\n", after_s=1.0)
        wire.says(b"T=2.0\r\n", after_s=5.0)
        await anyio.sleep(3.0)
        assert temperature(await session.newest(30.0, 1.0)) == 2.0


@virtual
async def test_lines_of_other_kinds_are_passed_over_and_counted() -> None:
    async with open_session(None) as (wire, session):
        wire.says(b"\r\n$GPRMC,1\r\nT=2.0\r\n$GPRMC,2\r\n")
        await anyio.sleep(0.1)
        assert temperature(await session.newest(30.0, 1.0)) == 2.0
        assert session.stale_bytes == 2 * len("$GPRMC,1")


@virtual
async def test_an_instrument_that_stops_sending_is_mute() -> None:
    async with open_session(None) as (wire, session):
        wire.says(b"\r\nT=1.0\r\n")
        await anyio.sleep(5.0)
        failed = await failure_of(session.newest(30.0, 1.0))
        assert (failed.failure, failed.is_lost, failed.detail) == (Failure.MUTE, True, "nothing came in 30 s")


@virtual
async def test_lines_that_waited_while_the_hub_stood_still_are_passed_over() -> None:
    async with open_session(None) as (wire, session):
        wire.says(b"\r\n" + b"T=1.0\r\n" * 1000 + b"T=2.0\r\n")
        assert temperature(await session.newest(30.0, 1.0)) == 2.0


@virtual
async def test_a_flood_is_read_slowly_and_costs_the_connection_after_five_seconds() -> None:
    async with open_session(None) as (wire, session):
        wire.says(b"T=1.0\r\n" * 200_000)
        await anyio.sleep(4.0)
        assert session.bytes_received <= 81 * 4096
        assert session.lost is None
        await anyio.sleep(2.0)
        assert session.lost is not None
        assert (session.lost.failure, session.lost.is_lost) == (Failure.PROTOCOL, True)
        assert wire.is_closed


@virtual
async def test_a_flood_that_tcp_hands_over_in_pieces_gives_no_old_line_and_costs_the_connection() -> None:
    async with open_session(None) as (wire, session):
        wire.says(b"T=10.0\r\n" * 512)
        for twentieth in range(1, 140):
            lines = 256 if twentieth % 20 == 0 else 512
            wire.says(b"T=10.0\r\n" * lines, after_s=twentieth / 20 - 0.01)
        failed = await failure_of(session.newest(30.0, 1.0))
        assert (failed.failure, failed.is_lost) == (Failure.PROTOCOL, True)
        assert "more than 80 kB/s" in failed.detail


@virtual
async def test_ending_a_session_closes_its_connection() -> None:
    async with open_session(ASK) as (wire, session):
        await anyio.sleep(0.1)
        session.end()
        await anyio.sleep(0.1)
        assert wire.is_closed
        assert session.lost is None
