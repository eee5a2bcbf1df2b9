"""One connection over a real socket, through the real protocol."""

from itertools import product
from typing import get_args

import anyio
import pytest

from hub.nl43 import commands as c
from hub.nl43.fields import parse_dod, parse_drd
from hub.nl43.protocol import ProtocolError, Reply, Result, State, StreamLine
from hub.simulators.nl43 import Fault, MeterOptions, open_simulator
from hub.simulators.nl43.options import GapRule, Prompt, Segmentation
from tests.hub.simulators.nl43.client import connected

pytestmark = pytest.mark.anyio


class Steady:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("prompt", "segmentation"), [*product(get_args(Prompt), get_args(Segmentation))])
@pytest.mark.parametrize("echo", ["On", "Off"])
async def test_every_prompt_and_segmentation_means_the_same(
    prompt: Prompt, segmentation: Segmentation, echo: str
) -> None:
    options = MeterOptions(
        prompt=prompt, segmentation=segmentation, items=(("Echo", echo),), drd_interval_s=0.002, drd_late_lines=3
    )
    async with open_simulator(options) as meter, connected(meter.port) as client:
        assert await client.ask(c.MEASURE) == Reply(c.MEASURE, Result.NORMAL, "Stop")
        assert await client.ask(c.MEASURE_STOP) == Reply(c.MEASURE_STOP, Result.STATUS, None)
        assert await client.ask(c.MEASURE_START) == Reply(c.MEASURE_START, Result.NORMAL, None)
        assert await client.ask(c.MEASURE) == Reply(c.MEASURE, Result.NORMAL, "Start")
        reading = parse_dod((await client.ask(c.DOD)).line or "")
        assert (reading.lp, len(reading.raw.split(","))) == (45.8, 64)
        assert (await client.ask(c.DRD)).result.ok
        first = await client.event()
        assert isinstance(first, StreamLine)
        assert parse_drd(first.text).counter == 1
        await client.stream.send(client.protocol.stop_stream())
        with anyio.fail_after(60):
            while True:
                with anyio.move_on_after(0.05) as quiet:
                    client.protocol.receive_data(await client.stream.receive())
                if quiet.cancelled_caught:
                    break
        client.protocol.stream_ended()
        assert (await client.ask(c.BATTERY_LEVEL)).line == "Full"
        assert meter.counters.overlapping == 0
        assert meter.counters.connections == 1


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("none", b"R+0000\r\nStop\r\n"),
        ("after_response", b"$R+0000\r\nStop\r\n$"),
        ("before_result", b"$R+0000\r\nStop\r\n"),
        ("both", b"$$R+0000\r\nStop\r\n$"),
    ],
)
async def test_the_prompt_stands_where_it_was_asked_for(prompt: Prompt, expected: bytes) -> None:
    async with open_simulator(MeterOptions(prompt=prompt)) as meter, connected(meter.port) as client:
        assert await client.raw(b"Measure?\r\n", len(expected)) == expected


async def test_the_stream_counter_wraps_after_600() -> None:
    options = MeterOptions(drd_interval_s=0.0005)
    async with open_simulator(options) as meter, connected(meter.port) as client:
        await client.ask(c.DRD)
        counters = []
        for _ in range(602):
            event = await client.event()
            assert isinstance(event, StreamLine)
            counters.append(parse_drd(event.text).counter)
        assert counters == [*range(1, 601), 1, 2]


@pytest.mark.parametrize("late", [0, 3])
async def test_lines_still_come_after_the_stream_was_stopped(late: int) -> None:
    options = MeterOptions(drd_interval_s=0.01, drd_late_lines=late, prompt="none")
    async with open_simulator(options) as meter, connected(meter.port) as client:
        await client.ask(c.DRD)
        await client.event()
        seen = meter.counters.stream_lines
        await client.stream.send(b"\x1a")
        with anyio.move_on_after(0.1):
            while True:
                client.protocol.receive_data(await client.stream.receive())
        assert late <= meter.counters.stream_lines - seen <= late + 1


async def test_a_command_before_the_reply_or_during_a_stream_is_ignored_and_counted() -> None:
    options = MeterOptions(drd_interval_s=0.01, prompt="none")
    async with open_simulator(options) as meter, connected(meter.port) as client:
        assert await client.raw(b"Measure?\r\nClock?\r\n", 14) == b"R+0000\r\nStop\r\n"
        assert meter.counters.overlapping == 1
        await client.ask(c.DRD)
        await client.stream.send(b"Measure,Start\r\n")
        await meter.until(lambda: meter.counters.overlapping == 2)
        assert not meter.meter.is_measuring(0.0)


async def test_gaps_are_measured_over_reconnects() -> None:
    clock = Steady()
    async with open_simulator(MeterOptions(clock=clock)) as meter:
        async with connected(meter.port) as client:
            await client.ask(c.DOD)
            clock.now += 2.0
            await client.ask(c.MEASURE)
        await meter.until(lambda: not meter.has_session)
        clock.now += 0.5
        async with connected(meter.port) as client:
            await client.ask(c.DOD)
        assert meter.counters.least_gap_s == 0.5
        assert meter.counters.least_dod_gap_s == 2.5
        assert meter.counters.commands == {"DOD?": 2, "Measure?": 1}
        assert [received.time - 1000.0 for received in meter.counters.log] == [0.0, 2.0, 2.5]


@pytest.mark.parametrize(
    ("gap", "wait_s", "code"), [("ignore", 0.1, 0), ("R+0004", 0.1, 4), ("R+0004", 0.9, 4), ("R+0004", 1.1, 0)]
)
async def test_a_hasty_command_meets_the_rule_for_gaps(gap: GapRule, wait_s: float, code: int) -> None:
    clock = Steady()
    async with open_simulator(MeterOptions(clock=clock, gap=gap)) as meter, connected(meter.port) as client:
        await client.ask(c.DOD)
        clock.now += wait_s
        assert (await client.ask(c.DOD)).result == code


async def test_a_hasty_command_may_be_dropped() -> None:
    clock = Steady()
    async with open_simulator(MeterOptions(clock=clock, gap="drop")) as meter, connected(meter.port) as client:
        await client.ask(c.MEASURE)
        await client.stream.send(b"Measure,Start\r\n")
        await meter.until(lambda: meter.counters.commands["Measure,Start"] == 1)
        clock.now += 1.0
        assert (await client.ask(c.MEASURE)).line == "Stop"


async def test_replies_take_the_time_they_were_given() -> None:
    async with open_simulator(MeterOptions(delay_s=(0.05, 0.06))) as meter, connected(meter.port) as client:
        started = anyio.current_time()
        await client.ask(c.MEASURE)
        assert 0.045 <= anyio.current_time() - started < 1.0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault.TRUNCATED, "has 64 fields"),
        (Fault.GARBLED, "has 64 fields|cannot be read"),
        (Fault.NON_ASCII, "beyond ASCII"),
        (Fault.OVERSIZED, "more than 8192 bytes"),
    ],
)
async def test_a_spoiled_reply_is_an_error_and_never_a_value(fault: Fault, message: str) -> None:
    async with open_simulator() as meter, connected(meter.port) as client:
        meter.set_fault(fault, times=1)
        with pytest.raises(ProtocolError, match=message):
            parse_dod((await client.ask(c.DOD)).line or "")
        assert meter.fault is Fault.NONE


async def test_a_garbled_result_code_closes_the_protocol() -> None:
    async with open_simulator() as meter, connected(meter.port) as client:
        meter.set_fault(Fault.GARBLED)
        with pytest.raises(ProtocolError, match="no result code"):
            await client.ask(c.MEASURE_START)
        assert client.protocol.state is State.CLOSED
        assert meter.meter.is_measuring(0.0)


async def test_a_stray_line_is_found_before_the_next_command() -> None:
    async with open_simulator() as meter, connected(meter.port) as client:
        meter.set_fault(Fault.STRAY_LINE)
        assert (await client.ask(c.MEASURE)).line == "Stop"
        with pytest.raises(ProtocolError, match="nobody asked for"):
            await client.event()


async def test_a_doubled_reply_comes_once_more_later() -> None:
    async with open_simulator(MeterOptions(prompt="none")) as meter, connected(meter.port) as client:
        meter.set_fault(Fault.DOUBLED, times=1, delay_s=0.05)
        assert (await client.ask(c.MEASURE)).line == "Stop"
        assert await client.raw(b"", 14) == b"R+0000\r\nStop\r\n"


async def test_a_stale_reply_comes_ahead_of_the_true_one() -> None:
    async with open_simulator(MeterOptions(prompt="none")) as meter, connected(meter.port) as client:
        await client.ask(c.MEASURE)
        meter.set_fault(Fault.STALE, times=1)
        assert await client.raw(b"Sleep Mode?\r\n", 27) == b"R+0000\r\nStop\r\nR+0000\r\nOff\r\n"


async def test_a_serial_device_server_greets_and_then_answers_well() -> None:
    async with open_simulator() as meter:
        meter.set_fault(Fault.BANNER)
        async with connected(meter.port) as client:
            assert (await client.raw(b"", 8))[:2] == b"\xff\xfb"
            await client.stream.receive()
            assert (await client.ask(c.MEASURE)).line == "Stop"


async def test_a_lost_reply_is_lost_though_the_command_was_obeyed() -> None:
    async with open_simulator(MeterOptions(prompt="none")) as meter, connected(meter.port) as client:
        meter.set_fault(Fault.LOSE_REPLY, times=1)
        await client.stream.send(b"Measure,Start\r\n")
        await meter.until(lambda: meter.counters.replies == 1)
        assert await client.raw(b"Measure?\r\n", 15) == b"R+0000\r\nStart\r\n"


async def test_a_mute_meter_neither_answers_nor_obeys() -> None:
    async with open_simulator(MeterOptions(prompt="none")) as meter, connected(meter.port) as client:
        meter.set_fault("mute")
        await client.stream.send(b"Measure,Start\r\n")
        await meter.until(lambda: meter.counters.commands["Measure,Start"] == 1)
        meter.set_fault("none")
        assert await client.raw(b"Measure?\r\n", 14) == b"R+0000\r\nStop\r\n"


async def test_a_late_reply_comes_late() -> None:
    async with open_simulator() as meter, connected(meter.port) as client:
        meter.set_fault(Fault.LATE, delay_s=0.05)
        started = anyio.current_time()
        assert (await client.ask(c.MEASURE)).line == "Stop"
        assert anyio.current_time() - started >= 0.045


async def test_a_reset_in_the_middle_of_a_reply_breaks_the_connection() -> None:
    async with open_simulator(MeterOptions(prompt="none")) as meter, connected(meter.port) as client:
        meter.set_fault(Fault.RESET_MID_REPLY, times=1)
        with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
            await client.ask(c.DOD)
        assert not meter.has_session


async def test_a_frozen_connection_does_not_even_notice_its_end() -> None:
    async with open_simulator() as meter:
        async with connected(meter.port) as client:
            await client.ask(c.MEASURE)
            meter.set_fault(Fault.HALF_OPEN)
            await client.stream.send(b"Measure?\r\n")
        await anyio.wait_all_tasks_blocked()
        assert meter.has_session
        assert meter.counters.replies == 1
        meter.set_fault(Fault.NONE)
        await meter.until(lambda: not meter.has_session)


async def test_a_client_that_does_not_read_is_dropped() -> None:
    options = MeterOptions(drd_interval_s=0.0)
    async with open_simulator(options) as meter, connected(meter.port) as client:
        await client.stream.send(b"DRD?\r\n")
        with anyio.fail_after(60):
            await meter.until(lambda: meter.counters.overruns == 1)
        assert not meter.has_session


async def test_the_status_stream_adds_what_it_knows_of_the_meter() -> None:
    options = MeterOptions(drd_interval_s=0.002, running=True)
    async with open_simulator(options) as meter, connected(meter.port) as client:
        assert (await client.ask(c.DRD_STATUS)).result.ok
        line = await client.event()
        assert isinstance(line, StreamLine)
        assert line.text.split(",")[34:] == ["E", "F", "29862", "M"]


async def test_a_stream_can_break_off_in_the_middle_of_a_line() -> None:
    async with open_simulator(MeterOptions(drd_interval_s=0.002)) as meter, connected(meter.port) as client:
        await client.ask(c.DRD)
        await client.event()
        meter.set_fault(Fault.RESET_MID_REPLY, times=1)
        assert await client.has_ended()
        assert not meter.has_session


async def test_a_stream_can_fall_silent_and_come_back() -> None:
    async with open_simulator(MeterOptions(drd_interval_s=0.002)) as meter, connected(meter.port) as client:
        await client.ask(c.DRD)
        await client.event()
        meter.set_fault(Fault.MUTE)
        with anyio.move_on_after(0.05):
            while True:
                client.protocol.receive_data(await client.stream.receive())
        meter.set_fault(Fault.NONE)
        meter.cross(88.0)
        while True:
            event = await client.event()
            assert isinstance(event, StreamLine)
            if parse_drd(event.text).lp == 88.0:
                break
        assert meter.crossing is not None
        assert meter.crossing.sent_at is not None


async def test_a_meter_that_falls_mute_before_its_reply_never_gives_it() -> None:
    async with open_simulator(MeterOptions(delay_s=(0.02, 0.02), prompt="none")) as meter:
        async with connected(meter.port) as client:
            await client.stream.send(b"Measure,Start\r\n")
            await meter.until(lambda: meter.counters.commands["Measure,Start"] == 1)
            meter.set_fault(Fault.MUTE)
            with anyio.move_on_after(0.06) as silence:
                await client.stream.receive()
            assert silence.cancelled_caught
        assert not meter.meter.is_measuring(0.0)
