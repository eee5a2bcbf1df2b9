import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from hub.instruments.exchange import LinkDown, NotWanted, Priority
from hub.nl43.commands import DOD, MEASURE, MEASURE_STOP, STORE_NAME
from hub.nl43.fields import parse_dod, parse_run_state
from hub.nl43.link import Link
from hub.nl43.protocol import Result
from hub.readings.snapshot import Failure
from hub.runtime.clock import Clock
from hub.simulators.nl43 import MeterOptions, open_simulator
from tests.free_port import free_port
from tests.hub.nl43.scripted_meter import DOD_LINE, Script, ScriptedMeter, obey, open_scripted_meter

pytestmark = pytest.mark.anyio

MONITOR = Priority.MONITOR


@asynccontextmanager
async def open_link(port: int, **options: Any) -> AsyncIterator[Link]:
    defaults = {"gap_s": 0.0, "reply_timeout_s": 0.2, "connect_timeout_s": 0.5, "reconnect_s": 0.05}
    defaults |= {"settle_s": 0.02}
    link = Link("127.0.0.1", port, Clock(), **{**defaults, **options})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        yield link
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_both(script: Script = obey, **options: Any) -> AsyncIterator[tuple[ScriptedMeter, Link]]:
    async with open_scripted_meter(script) as meter, open_link(meter.port, **options) as link:
        yield meter, link


async def failure_of(link: Link) -> LinkDown:
    with pytest.raises(LinkDown) as caught:
        await link.request(DOD, parse_dod, MONITOR, patience_s=5)
    return caught.value


async def test_one_socket_is_opened_by_the_first_poll_and_kept() -> None:
    async with open_both() as (meter, link):
        for _ in range(3):
            answer = await link.request(DOD, parse_dod, MONITOR)
            assert answer.value is not None
            assert answer.value.lp == 45.8
        assert (meter.connections, meter.commands) == (1, ["DOD?"] * 3)


async def test_a_question_before_the_first_poll_opens_no_socket() -> None:
    async with open_both() as (meter, link):
        with pytest.raises(LinkDown):
            await link.request(MEASURE, parse_run_state, MONITOR)
        assert meter.connections == 0


async def test_the_most_urgent_goes_first_and_never_two_at_once() -> None:
    waiting = 0
    most = 0

    def count_and_obey(command: str) -> bytes | None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        waiting -= 1
        return obey(command)

    async with open_both(count_and_obey, gap_s=0.05) as (meter, link):
        await link.request(DOD, parse_dod, MONITOR)
        async with anyio.create_task_group() as tasks:
            for command, priority in (
                (STORE_NAME, Priority.BACKGROUND),
                (MEASURE, Priority.MONITOR),
                (DOD, Priority.OPERATOR),
            ):
                tasks.start_soon(link.request, command, str, priority)
        assert meter.commands == ["DOD?", "DOD?", "Measure?", "Store Name?"]
        assert most == 1


@pytest.mark.parametrize("answer", [b"R+0000\r\nStop\r\n", b"R+0004\r\n"])
async def test_the_gap_follows_an_answer_and_a_refusal(answer: bytes) -> None:
    def script(command: str) -> bytes | None:
        return answer if command == "Measure?" else obey(command)

    async with open_both(script, gap_s=0.15) as (meter, link):
        await link.request(DOD, parse_dod, MONITOR)
        await link.request(MEASURE, parse_run_state, MONITOR)
        await link.request(MEASURE, parse_run_state, MONITOR)
        gaps = [b - a for a, b in zip(meter.times, meter.times[1:], strict=False)]
        assert min(gaps) >= 0.149


async def test_the_gap_follows_a_time_out_even_when_the_pause_is_shorter() -> None:
    replies = iter([None, b"", b""])

    def first_is_lost(command: str) -> bytes | None:
        return None if next(replies, b"") is None else obey(command)

    async with open_both(first_is_lost, gap_s=0.3, reconnect_s=0.01, reply_timeout_s=0.1) as (meter, link):
        await failure_of(link)
        await link.request(DOD, parse_dod, MONITOR, patience_s=5)
        assert meter.times[1] - meter.times[0] >= 0.399


async def test_a_refusal_is_an_answer_and_keeps_the_socket() -> None:
    def refuse_stop(command: str) -> bytes | None:
        return b"R+0004\r\n" if command == "Measure,Stop" else obey(command)

    async with open_both(refuse_stop) as (meter, link):
        await link.request(DOD, parse_dod, MONITOR)
        answer = await link.request(MEASURE_STOP, str, Priority.OPERATOR)
        assert (answer.result, answer.value) == (Result.STATUS, None)
        await link.request(DOD, parse_dod, MONITOR)
        assert (meter.connections, meter.commands) == (1, ["DOD?", "Measure,Stop", "DOD?"])


async def test_a_setting_whose_reply_is_lost_is_not_sent_again() -> None:
    def lose(command: str) -> bytes | None:
        return None if command == "Measure,Stop" else obey(command)

    async with open_both(lose) as (meter, link):
        await link.request(DOD, parse_dod, MONITOR)
        with pytest.raises(LinkDown):
            await link.request(MEASURE_STOP, str, Priority.OPERATOR)
        await link.request(DOD, parse_dod, MONITOR, patience_s=5)
        assert meter.commands == ["DOD?", "Measure,Stop", "DOD?"]


@pytest.mark.parametrize(
    ("bytes_sent", "failure"),
    [
        (None, Failure.MUTE),
        (b"R+0000\r\n 45.8,", Failure.PROTOCOL),
        (b"R+00", Failure.PROTOCOL),
        (b"garbage\r\n", Failure.PROTOCOL),
        (b"R+0000\r\nStart\r\n", Failure.PROTOCOL),
        (b"R+0000\r\n\xff\xfe\r\n", Failure.PROTOCOL),
        (b"x" * 10_000, Failure.PROTOCOL),
    ],
    ids=["mute", "truncated", "half a code", "garbled", "another command's reply", "non-ASCII", "oversized"],
)
async def test_a_bad_reply_drops_the_socket_and_says_why(bytes_sent: bytes | None, failure: Failure) -> None:
    async with open_both(lambda command: bytes_sent) as (meter, link):
        assert (await failure_of(link)).failure is failure
        assert not link.is_connected
        await meter.until(lambda: meter.open_now == 0)


async def test_a_meter_that_closes_at_once_is_mute() -> None:
    async def close(stream: anyio.abc.SocketStream) -> None:
        await stream.aclose()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, close)
        async with open_link(listener.extra(anyio.abc.SocketAttribute.local_port)) as link:
            assert (await failure_of(link)).failure is Failure.MUTE
        tasks.cancel_scope.cancel()


async def test_refused_is_told_from_wedged_by_one_probe_of_ftp() -> None:
    probes = 0

    async def ftp(stream: anyio.abc.SocketStream) -> None:
        nonlocal probes
        probes += 1
        await stream.aclose()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, ftp)
        ftp_port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with open_link(free_port(), ftp_port=ftp_port) as link:
            wedged = await failure_of(link)
            assert wedged.failure is Failure.WEDGED
            assert "power-cycle" in wedged.detail
            assert (await failure_of(link)).failure is Failure.WEDGED
            assert probes == 1
        tasks.cancel_scope.cancel()
    async with open_link(free_port(), ftp_port=free_port()) as link:
        assert (await failure_of(link)).failure is Failure.REFUSED


async def test_a_listener_that_never_accepts_is_a_time_out() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            async with open_link(full.getsockname()[1]) as link:
                assert (await failure_of(link)).failure is Failure.TIMEOUT


async def test_a_name_that_cannot_be_resolved_is_a_time_out_with_the_reason() -> None:
    link = Link("no-such-meter.invalid", 2255, Clock(), gap_s=0.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        down = await failure_of(link)
        assert down.failure is Failure.TIMEOUT
        assert "no-such-meter.invalid" in down.detail
        tasks.cancel_scope.cancel()


async def test_after_a_loss_the_meter_gets_time_to_free_its_slot() -> None:
    async with open_both(lambda command: None, reply_timeout_s=0.02, reconnect_s=5.0) as (meter, link):
        down = await failure_of(link)
        assert 4.9 < down.retry_in_s <= 5.0
        with pytest.raises(LinkDown) as caught:
            await link.request(DOD, parse_dod, MONITOR)
        assert caught.value.failure is Failure.MUTE
        assert meter.connections == 1


async def test_after_a_refused_connect_the_pause_begins_at_one_second_and_doubles_to_the_cap() -> None:
    async with open_link(free_port(), ftp_port=free_port(), cap_s=1.0) as link:
        assert 0.9 < (await failure_of(link)).retry_in_s <= 1.0
        assert 0.9 < (await failure_of(link)).retry_in_s <= 1.0


async def test_a_meter_that_was_just_let_go_is_left_alone_whoever_watches() -> None:
    async with open_both() as (_, link):
        began = Clock().steady()
        link.rest_until(began + 0.3)
        link.limit_pauses(10.0)
        await link.request(DOD, parse_dod, MONITOR, patience_s=1.0)
        assert Clock().steady() - began >= 0.29


async def test_a_viewer_shortens_the_pause() -> None:
    async with open_link(free_port(), ftp_port=free_port()) as link:
        await failure_of(link)
        link._retry_s = link._failed_s + 60
        link.limit_pauses(10.0)
        assert link.retry_in_s <= 10.0


async def test_a_command_nobody_wants_at_the_moment_of_sending_is_not_sent() -> None:
    async with open_both() as (meter, link):
        with pytest.raises(NotWanted):
            await link.request(DOD, parse_dod, Priority.BACKGROUND, lambda: False)
        assert meter.connections == 0


async def test_a_command_nobody_wants_any_more_once_connected_is_not_sent() -> None:
    wanted = iter([True, False])
    async with open_both() as (meter, link):
        with pytest.raises(NotWanted):
            await link.request(DOD, parse_dod, Priority.BACKGROUND, wanted=lambda: next(wanted))
        await link.request(DOD, parse_dod, MONITOR)
        assert (meter.connections, meter.commands) == (1, ["DOD?"])


async def test_a_cancelled_caller_takes_its_waiting_command_with_it() -> None:
    async with open_both(gap_s=0.6) as (meter, link):
        await link.request(DOD, parse_dod, MONITOR)
        with anyio.move_on_after(0.02):
            await link.request(MEASURE_STOP, str, MONITOR)
        await link.request(DOD, parse_dod, MONITOR)
        assert meter.commands == ["DOD?", "DOD?"]


async def test_a_caller_cancelled_in_mid_flight_leaves_the_link_in_step() -> None:
    async with open_scripted_meter() as meter:
        release = anyio.Event()

        async def slow(stream: anyio.abc.SocketStream) -> None:
            await release.wait()
            await meter.serve(stream)

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, slow)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with open_link(port, reply_timeout_s=2.0) as link:
                with anyio.move_on_after(0.05):
                    await link.request(DOD, parse_dod, MONITOR)
                release.set()
                answer = await link.request(DOD, parse_dod, MONITOR)
                assert answer.value is not None
                assert (meter.connections, len(meter.commands)) == (1, 2)
            tasks.cancel_scope.cancel()


async def test_stopping_the_link_fails_what_still_waits() -> None:
    async with open_scripted_meter(lambda command: None) as meter:
        link = Link("127.0.0.1", meter.port, Clock(), gap_s=0.0)
        errors: list[LinkDown] = []

        async def ask() -> None:
            with pytest.raises(LinkDown) as caught:
                await link.request(DOD, parse_dod, MONITOR)
            errors.append(caught.value)

        async with anyio.create_task_group() as callers:
            callers.start_soon(ask)
            callers.start_soon(ask)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(link.run)
                await meter.until(lambda: len(meter.commands) == 1)
                tasks.cancel_scope.cancel()
        assert [error.detail for error in errors] == ["the hub has given up the meter's socket"] * 2


@pytest.mark.parametrize("steps", range(12))
async def test_cancellation_at_each_await_leaves_the_socket_closed(steps: int) -> None:
    """Cancel after 0, 1, 2, … turns of the loop: between them they hit every await of a poll."""
    async with open_scripted_meter() as meter:
        link = Link("127.0.0.1", meter.port, Clock(), gap_s=0.001)

        async def poll_for_ever() -> None:
            while True:
                await link.request(DOD, parse_dod, MONITOR, patience_s=1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.run)
            tasks.start_soon(poll_for_ever)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            if steps > 8:
                await meter.until(lambda: len(meter.commands) > steps)
            tasks.cancel_scope.cancel()
        assert not link.is_connected
        await meter.until(lambda: meter.open_now == 0)


STALE_DOD = b"R+0000\r\n" + DOD_LINE.replace(" 45.8", " 99.9").encode() + b"\r\n"


@asynccontextmanager
async def open_talker(
    greeting: bytes, script: Script = obey, **options: Any
) -> AsyncIterator[tuple[ScriptedMeter, Link, list[anyio.abc.SocketStream]]]:
    """A link to a meter that says `greeting` at each connect, and the sockets of the meter's side."""
    meter, streams = ScriptedMeter(script), []

    async def greet(stream: anyio.abc.SocketStream) -> None:
        streams.append(stream)
        await stream.send(greeting)
        await meter.serve(stream)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, greet)
        options = {"settle_s": 0.25, "reply_timeout_s": 2.0, **options}
        async with open_link(listener.extra(anyio.abc.SocketAttribute.local_port), **options) as link:
            yield meter, link, streams
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "greeting",
    [
        STALE_DOD,
        STALE_DOD * 5,
        b"Moxa NPort 5110\r\nPress any key",
        b"\xff\xfb\x01\xff\xfb\x03\xff\xfd\x00",
        b"\x11\x00$",
        b"R+0004\r\n",
    ],
    ids=["a reply", "five replies", "a banner", "telnet", "noise", "a refusal"],
)
async def test_what_waits_at_the_connect_is_not_the_answer_to_the_first_command(greeting: bytes) -> None:
    async with open_talker(greeting) as (meter, link, _):
        answer = await link.request(DOD, parse_dod, MONITOR)
        assert answer.value is not None
        assert answer.value.lp == 45.8
        assert link.stale_bytes == (len(greeting) if greeting[0] in b"RM" else 0)
        assert (meter.connections, meter.commands) == (1, ["DOD?"])


async def test_what_the_kernel_holds_between_two_commands_is_dropped_and_counted() -> None:
    async with open_talker(b"$") as (meter, link, streams):
        await link.request(DOD, parse_dod, MONITOR)
        await streams[0].send(b"R+0000\r\nStart\r\n")
        await anyio.sleep(0.05)
        answer = await link.request(MEASURE, parse_run_state, MONITOR)
        assert answer.value == "Stop"
        assert link.stale_bytes == len(b"R+0000\r\nStart\r\n")
        assert meter.connections == 1


async def test_a_question_without_an_answer_does_not_cost_the_connection() -> None:
    async with open_both(lambda command: None if command == "Measure?" else obey(command)) as (meter, link):
        await link.request(DOD, parse_dod, MONITOR)
        with pytest.raises(LinkDown) as caught:
            await link.request(MEASURE, parse_run_state, MONITOR)
        assert (caught.value.failure, caught.value.was_tried) == (Failure.MUTE, True)
        with pytest.raises(LinkDown) as unproven:
            await link.request(STORE_NAME, str, MONITOR)
        assert not unproven.value.was_tried
        await link.request(DOD, parse_dod, MONITOR)
        await link.request(STORE_NAME, str, MONITOR)
        assert (meter.connections, meter.commands) == (1, ["DOD?", "Measure?", "DOD?", "Store Name?"])


async def test_an_operator_shortens_the_pause_and_a_monitor_does_not() -> None:
    async with open_both() as (meter, link):
        began = Clock().steady()
        link._failed_s, link._retry_s = began, began + 60
        with pytest.raises(LinkDown):
            await link.request(DOD, parse_dod, MONITOR, patience_s=5)
        assert link.retry_in_s > 50
        await link.request(DOD, parse_dod, Priority.OPERATOR, patience_s=5)
        assert (meter.connections, Clock().steady() - began < 5) == (1, True)


@pytest.mark.parametrize("fault", ["banner", "stale", "doubled", "short"])
async def test_a_simulated_meter_with_a_fault_of_the_line_never_gives_a_level_it_does_not_hear(fault: str) -> None:
    levels, heard = [], 50.0
    async with open_simulator(MeterOptions(delay_s=(0.03, 0.06))) as meter:
        meter.set_fault(fault, delay_s=0.02)
        async with open_link(meter.port, reply_timeout_s=2.0, settle_s=0.05) as link:
            for _ in range(8):
                heard += 1.0
                meter.set_lp(heard)
                try:
                    answer = await link.request(DOD, parse_dod, MONITOR, patience_s=5)
                except LinkDown:
                    continue
                assert answer.value is not None
                levels.append(answer.value.lp == heard)
        assert all(levels)
        assert len(levels) == 8 if fault in ("banner", "doubled") else True
        assert link.stale_bytes > 0
