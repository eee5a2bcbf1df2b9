import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from hub.simulators.line import PATTERN, StationFault, WeatherStation, open_station, weather
from tests.hub.simulators.line_client import is_refused, refuse

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected(station: WeatherStation) -> AsyncIterator[SocketStream]:
    async with await anyio.connect_tcp(station.host, station.port) as stream:
        yield stream


async def asked(stream: SocketStream) -> bytes:
    await stream.send(b"?\r\n")
    with anyio.fail_after(5):
        return await stream.receive()


def test_every_line_of_a_day_has_the_form_that_is_announced() -> None:
    for second in range(86_400 // 60):
        line = weather(second * 60.0).line.decode().removesuffix("\r\n")
        assert re.match(PATTERN, line), line


def test_gusts_come_within_half_a_minute_and_go() -> None:
    assert weather(0.0).wind < 5
    assert weather(25.0).wind > 7
    assert weather(60.0).wind < 5


async def test_a_station_answers_every_line_it_gets() -> None:
    async with open_station() as station, connected(station) as stream:
        assert (await asked(stream)).startswith(b"T=")
        assert (await asked(stream)).endswith(b"\r\n")


async def test_a_station_that_pushes_sends_by_itself() -> None:
    async with open_station(push_s=0.01) as station, connected(station) as stream:
        with anyio.fail_after(5):
            assert (await stream.receive()).startswith(b"T=")
            assert (await stream.receive()).endswith(b"\r\n")


async def test_a_muted_station_says_nothing_and_answers_again_when_it_is_well() -> None:
    async with open_station() as station, connected(station) as stream:
        station.set_fault(StationFault.MUTE)
        await stream.send(b"?\n")
        with anyio.move_on_after(0.05) as waited:
            await stream.receive()
        assert waited.cancelled_caught
        station.set_fault(StationFault.NONE)
        assert (await asked(stream)).startswith(b"T=")


async def test_garbage_has_an_end_and_not_the_form_and_half_lines_have_no_end() -> None:
    async with open_station() as station, connected(station) as stream:
        station.set_fault(StationFault.GARBAGE)
        garbage = await asked(stream)
        assert garbage.endswith(b"\r\n")
        assert not re.match(PATTERN, garbage.decode("latin-1"))
        station.set_fault(StationFault.HALF_LINES)
        assert b"\n" not in await asked(stream)


async def test_a_refusing_station_ends_its_connections_and_listens_again_on_the_same_port() -> None:
    async with open_station() as station:
        with anyio.fail_after(5):
            async with connected(station) as stream:
                await refuse(station)
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
            station.set_fault(StationFault.NONE)
            while await is_refused(station):
                await anyio.sleep(0.01)
            async with connected(station) as stream:
                assert (await asked(stream)).startswith(b"T=")
