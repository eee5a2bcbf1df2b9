"""The link to an instrument of lines, over real sockets."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from hub.instruments.exchange import LinkDown, NotWanted, Priority
from hub.line.fields import by_pattern
from hub.line.link import LineLink, LinkOptions
from hub.line.session import Line
from hub.readings.snapshot import Failure
from hub.runtime.clock import Clock
from hub.simulators.line import PATTERN, StationFault, WeatherStation, open_station
from tests.elapsed import takes_less_than
from tests.hub.simulators.line_client import refuse

pytestmark = pytest.mark.anyio

MONITOR = Priority.MONITOR
FORM = by_pattern(PATTERN)


@asynccontextmanager
async def open_link(port: int, **options: Any) -> AsyncIterator[LineLink]:
    usual = {"ask": b"?\r\n", "end": b"\r\n", "form": FORM, "gap_s": 0.0, "line_within_s": 0.2, "reconnect_s": 0.05}
    link = LineLink(LinkOptions("127.0.0.1", port, **{**usual, **options}), Clock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        yield link
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_both(push_s: float | None = None, **options: Any) -> AsyncIterator[tuple[WeatherStation, LineLink]]:
    if push_s is not None:
        options = {"ask": None, "line_within_s": 1.0, **options}
    async with open_station(push_s) as station, open_link(station.port, **options) as link:
        yield station, link


async def polled(link: LineLink) -> Line:
    line, _ = await link.poll(MONITOR, patience_s=5)
    return line


async def failure_of(link: LineLink) -> LinkDown:
    with pytest.raises(LinkDown) as caught:
        await link.poll(MONITOR, patience_s=5)
    return caught.value


async def recovered(link: LineLink) -> Line:
    with anyio.fail_after(10):
        while True:
            try:
                return await polled(link)
            except LinkDown as down:
                await anyio.sleep(down.retry_in_s + 0.01)


async def test_one_socket_is_opened_by_the_first_poll_and_kept() -> None:
    async with open_both() as (station, link):
        assert not link.is_connected
        lines = [await polled(link) for _ in range(3)]
        assert all(re.match(PATTERN, line.raw) for line in lines)
        assert (station.connections, link.connects, link.is_connected) == (1, 1, True)
        seen = link.statistics()
        assert seen.bytes_sent == 9
        assert seen.bytes_received == sum(len(line.raw) + 2 for line in lines)
        assert (seen.last_error, seen.failures, seen.stale_bytes) == (None, {}, 0)


async def test_an_instrument_that_sends_by_itself_is_listened_to_and_no_line_is_given_twice() -> None:
    async with open_both(push_s=0.02, gap_s=1.0) as (station, link):
        lines = [await polled(link) for _ in range(4)]
        assert len({line.time for line in lines}) == 4
        assert link.statistics().bytes_sent == 0
        assert station.connections == 1


async def test_polls_at_once_are_answered_one_after_the_other() -> None:
    async with open_both() as (_, link):
        lines: list[Line] = []

        async def poll(priority: Priority) -> None:
            lines.append((await link.poll(priority))[0])

        async with anyio.create_task_group() as tasks:
            for priority in (Priority.BACKGROUND, Priority.MONITOR, Priority.OPERATOR):
                tasks.start_soon(poll, priority)
        assert [line.number for line in lines] == [1, 2, 3]


async def test_the_gap_is_kept_between_a_reply_and_the_next_command() -> None:
    async with open_both(gap_s=0.1) as (_, link):
        first, second = await polled(link), await polled(link)
        assert second.time - first.time >= 0.1


async def test_a_poll_that_is_not_wanted_any_more_sends_nothing() -> None:
    async with open_both() as (_, link):
        with pytest.raises(NotWanted):
            await link.poll(MONITOR, wanted=lambda: False)
        assert link.statistics().bytes_sent == 0


async def test_a_poll_that_is_abandoned_leaves_no_answer_behind_for_the_next() -> None:
    async with open_both() as (station, link):
        await polled(link)
        station.set_fault(StationFault.MUTE)
        with anyio.move_on_after(0.02):
            await polled(link)
        station.set_fault(StationFault.NONE)
        assert re.match(PATTERN, (await recovered(link)).raw)


async def test_a_refused_connection_is_refused_and_recovers() -> None:
    async with open_both(reconnect_s=0.05) as (station, link):
        await refuse(station)
        down = await failure_of(link)
        assert (down.failure, down.was_tried) == (Failure.REFUSED, True)
        assert 0 < down.retry_in_s <= 1.0
        with pytest.raises(LinkDown) as pausing:
            await link.poll(MONITOR)
        assert not pausing.value.was_tried
        station.set_fault(StationFault.NONE)
        with takes_less_than(5):
            line, _ = await link.poll(Priority.OPERATOR, patience_s=1.0)  # an operator cuts the pause short
        assert re.match(PATTERN, line.raw)


@pytest.mark.parametrize(
    ("fault", "failure", "is_connected"),
    [
        (StationFault.MUTE, Failure.MUTE, False),
        (StationFault.GARBAGE, Failure.PROTOCOL, True),
        (StationFault.HALF_LINES, Failure.PROTOCOL, True),
    ],
)
async def test_a_fault_is_a_state_and_goes_with_its_cause(
    fault: StationFault, failure: Failure, is_connected: bool
) -> None:
    async with open_both() as (station, link):
        await polled(link)
        station.set_fault(fault)
        assert (await failure_of(link)).failure is failure
        assert link.is_connected is is_connected
        assert link.failures == {failure: 1}
        station.set_fault(StationFault.NONE)
        assert re.match(PATTERN, (await recovered(link)).raw)


@pytest.mark.parametrize("fault", [StationFault.MUTE, StationFault.GARBAGE, StationFault.HALF_LINES])
async def test_a_fault_of_one_that_sends_by_itself_shows_and_goes(fault: StationFault) -> None:
    async with open_both(push_s=0.02, line_within_s=0.2) as (station, link):
        await polled(link)
        station.set_fault(fault)
        await anyio.sleep(0.05)
        failures = set[Failure]()
        with anyio.fail_after(10):
            while not failures:
                try:
                    await polled(link)
                except LinkDown as down:
                    failures.add(down.failure)
        assert failures == {Failure.MUTE if fault is StationFault.MUTE else Failure.PROTOCOL}
        station.set_fault(StationFault.NONE)
        assert re.match(PATTERN, (await recovered(link)).raw)


async def test_a_connection_lost_between_polls_is_noticed_and_replaced() -> None:
    async with open_both() as (station, link):
        await polled(link)
        station.set_fault(StationFault.REFUSE)
        with anyio.fail_after(5):
            while link.is_connected:
                await anyio.sleep(0.01)
        assert link.failures == {Failure.MUTE: 1}
        station.set_fault(StationFault.NONE)
        await recovered(link)
        assert station.connections == 2


async def test_a_connection_closed_right_behind_an_answer_fails_no_poll() -> None:
    async def answer_once(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"T=18.4,H=61.0,W=3.2,D=231\r\n")

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
        open_link(listener.extra(anyio.abc.SocketAttribute.local_port), reconnect_s=0.01) as link,
    ):
        tasks.start_soon(listener.serve, answer_once)
        for _ in range(3):
            assert (await polled(link)).values["wind"] == 3.2
            with anyio.fail_after(5):
                while link.is_connected:
                    await anyio.sleep(0.01)
        assert link.connects == 3
        tasks.cancel_scope.cancel()


async def test_an_unknown_name_is_a_time_out_that_says_so() -> None:
    options = LinkOptions("no-such-instrument.invalid", 4001, b"?", b"\n", FORM)
    link = LineLink(options, Clock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        down = await failure_of(link)
        assert (down.failure, down.is_name_unknown) == (Failure.TIMEOUT, True)
        tasks.cancel_scope.cancel()


async def test_a_link_that_is_ended_closes_its_socket_and_fails_what_waits() -> None:
    async with open_station() as station:
        station.set_fault(StationFault.MUTE)
        failed: list[LinkDown] = []

        async def poll(link: LineLink) -> None:
            failed.append(await failure_of(link))

        async with anyio.create_task_group() as tasks:
            async with open_link(station.port, line_within_s=30.0) as link:
                tasks.start_soon(poll, link)
                tasks.start_soon(poll, link)
                with anyio.fail_after(5):
                    while not link.is_connected:
                        await anyio.sleep(0.01)
        assert [down.was_tried for down in failed] == [False, False]
        assert not link.is_connected


async def test_whoever_looks_limits_the_pause_after_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with open_link(port) as link:
        assert 0.9 < (await failure_of(link)).retry_in_s <= 1.0
        link.limit_pauses(0.5)
        assert link.retry_in_s <= 0.5
