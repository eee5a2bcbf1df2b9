"""A simulated weather station that speaks in lines of text over TCP, with faults: for tests and the demo.

A line is `T=18.4,H=61.2,W=5.0,D=231` and CR LF: temperature in °C, relative humidity in %, wind speed in m/s and
where the wind comes from in degrees. Without `push_s` the station answers every line that is sent to it.
"""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import NamedTuple

import anyio
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskStatus

from hub.simulators.fleet import check_ports, parse_faults, spread_faults

PATTERN = r"T=(?P<temperature>-?[\d.]+),H=(?P<humidity>[\d.]+),W=(?P<wind>[\d.]+),D=(?P<direction>\d+)$"
_GUST_FROM_S, _GUST_UNTIL_S, _GUSTS_EVERY_S = 15.0, 40.0, 120.0


class StationFault(StrEnum):
    """`refuse`: the port is closed. `mute`: nothing is sent. `garbage`: lines of something else.

    `half_lines`: each line breaks off in the middle, without an end.
    """

    NONE = "none"
    REFUSE = "refuse"
    MUTE = "mute"
    GARBAGE = "garbage"
    HALF_LINES = "half_lines"


class Weather(NamedTuple):
    """°C, %, m/s, degrees."""

    temperature: float
    humidity: float
    wind: float
    direction: int

    @property
    def line(self) -> bytes:
        """As the station sends it."""
        return f"T={self.temperature:.1f},H={self.humidity:.1f},W={self.wind:.1f},D={self.direction}\r\n".encode()


def weather(time: float) -> Weather:
    """A mild day, `time` seconds after it began; gusts for 25 s, 15 s after the beginning and every two minutes."""
    swell = math.sin(time / 7)
    is_gusty = _GUST_FROM_S <= time % _GUSTS_EVERY_S < _GUST_UNTIL_S
    return Weather(
        temperature=18.0 + 4.0 * math.sin(time / 120),
        humidity=60.0 - 8.0 * math.sin(time / 120),
        wind=(9.0 if is_gusty else 3.0) + swell,
        direction=round(230 + 25 * math.sin(time / 11)) % 360,
    )


class WeatherStation:
    """One station. `port` 0 becomes any free one once it runs; it stays the same afterwards.

    `weather` says what it measures, by the seconds since it began.
    """

    def __init__(self, push_s: float | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self.fault = StationFault.NONE
        self.connections = 0
        self.weather: Callable[[float], Weather] = weather
        self._push_s = push_s
        self._began_s = 0.0
        self._fault_changed = anyio.Event()

    def set_fault(self, fault: StationFault) -> None:
        """Have this fault from now on."""
        self.fault = fault
        self._fault_changed.set()
        self._fault_changed = anyio.Event()

    @property
    def _is_closed(self) -> bool:
        return self.fault is StationFault.REFUSE

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled. Raises OSError when the port cannot be had."""
        self._began_s = anyio.current_time()
        async with await self._listener() as listener:  # a port that is closed has to be known, too
            task_status.started()
            if not self._is_closed:
                await self._serve(listener)
        while True:
            while self._is_closed:
                await self._fault_changed.wait()
            async with await self._listener() as listener:
                await self._serve(listener)

    async def _listener(self) -> Listener[SocketStream]:
        listener = await anyio.create_tcp_listener(local_host=self.host, local_port=self.port)
        self.port = listener.extra(SocketAttribute.local_port)
        return listener

    async def _serve(self, listener: Listener[SocketStream]) -> None:
        """Until the port is to be closed."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._talk)
            while not self._is_closed:
                await self._fault_changed.wait()
            tasks.cancel_scope.cancel()

    async def _talk(self, stream: SocketStream) -> None:
        self.connections += 1
        try:
            async with stream:
                if self._push_s is None:
                    await self._answer(stream)
                else:
                    await self._push(stream, self._push_s)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass  # the other side has gone

    async def _push(self, stream: SocketStream, every_s: float) -> None:
        while True:
            await anyio.sleep(every_s)
            await stream.send(self._line())

    async def _answer(self, stream: SocketStream) -> None:
        while True:
            asked = await stream.receive(1024)
            for _ in range(asked.count(b"\n")):
                await stream.send(self._line())

    def _line(self) -> bytes:
        line = self.weather(anyio.current_time() - self._began_s).line
        match self.fault:
            case StationFault.MUTE:
                return b""
            case StationFault.GARBAGE:
                return b"\xff\x07~#" + line[::-2] + b"\r\n"
            case StationFault.HALF_LINES:
                return line[: len(line) // 2]
        return line


@asynccontextmanager
async def open_station(push_s: float | None = None) -> AsyncIterator[WeatherStation]:
    """A station on any free port for as long as the block runs."""
    async with open_stations([WeatherStation(push_s)]) as stations:
        yield stations[0]


@asynccontextmanager
async def open_stations(stations: list[WeatherStation]) -> AsyncIterator[list[WeatherStation]]:
    """Run stations for as long as the block runs. Raises OSError when a port cannot be had."""
    async with anyio.create_task_group() as tasks:
        for station in stations:
            await tasks.start(station.run)
        yield stations
        tasks.cancel_scope.cancel()


def simulate(
    units: int,
    base_port: int,
    host: str = "127.0.0.1",
    faults: str | None = None,
    push_s: float | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """`hub simulate --kind line`: run until interrupted. `faults` is written as `mute=10%,refuse=5%`.

    Raises ValueError for what cannot be, OSError when a port cannot be had.
    """
    check_ports(units, base_port)
    shares = spread_faults(parse_faults(faults or "", StationFault), units, StationFault.NONE)
    stations = []
    for unit, fault in enumerate(shares):
        station = WeatherStation(push_s, host, base_port + unit)
        station.set_fault(fault)
        stations.append(station)

    async def run() -> None:
        async with open_stations(stations):
            if announce is not None:
                what = "any line is answered" if push_s is None else f"a line is sent every {push_s:g} s"
                what_runs = "1 weather station" if units == 1 else f"{units} weather stations"
                announce(f"{what_runs} on {host}:{base_port}-{base_port + units - 1}: {what}")
            await anyio.sleep(math.inf)

    anyio.run(run)
