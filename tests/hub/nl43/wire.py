"""A connection in memory, for tests in virtual time: what arrives when is written down beforehand."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import anyio

from hub.runtime.clock import Clock


class Wire:
    """A connection in memory: bytes arrive at the times they are given, and then wait to be read."""

    def __init__(self, clock: Clock, on_command: Callable[[str], None]) -> None:
        self._clock = clock
        self._on_command = on_command
        self._order = count()
        self._arrivals: list[tuple[float, int, bytes]] = []
        self.is_closed = False

    def arrives(self, after_s: float, data: bytes) -> None:
        """`data` gets here in `after_s` seconds; b"" is the end of the connection."""
        heapq.heappush(self._arrivals, (self._clock.steady() + after_s, next(self._order), data))

    def still_to_come(self) -> list[tuple[float, bytes]]:
        """What nobody has read yet, with the seconds until it gets here."""
        now_s = self._clock.steady()
        return [(max(0.0, at - now_s), data) for at, _, data in self._arrivals if data]

    async def send(self, data: bytes) -> None:
        self._on_command(data.decode().strip())

    async def receive(self, most: int) -> bytes:
        while (data := self.receive_nowait(most)) is None:
            delay_s = self._arrivals[0][0] - self._clock.steady() if self._arrivals else 3600.0
            await anyio.sleep(max(delay_s, 0.0))
        return data

    def receive_nowait(self, most: int) -> bytes | None:
        arrived = bytearray()
        while self._arrivals and self._arrivals[0][0] <= self._clock.steady() and len(arrived) < most:
            if not self._arrivals[0][2]:
                break
            arrived += heapq.heappop(self._arrivals)[2]
        if arrived:
            return bytes(arrived)
        is_at_end = self._arrivals and self._arrivals[0][0] <= self._clock.steady()
        return b"" if is_at_end else None

    def close(self) -> None:
        self.is_closed = True


Arrivals = list[tuple[float, bytes]]


@dataclass
class WiredMeter:
    """Answers command by command: `script(connection, n, command)` says what arrives after how many seconds.

    `connection` and `n` count connections and the commands of this one, from 1; `greeting` arrives by itself.
    """

    clock: Clock
    script: Callable[[int, int, str], Arrivals]
    greeting: Arrivals = field(default_factory=list)
    connections: int = 0
    commands: list[tuple[float, str]] = field(default_factory=list)
    _number: int = 0

    async def open_socket(self, host: str, port: int, timeout_s: float) -> Wire:
        """The link's way to this meter."""
        self.connections += 1
        self._number = 0
        self._wire = Wire(self.clock, self._on_command)
        self._say(self.greeting)
        return self._wire

    def _on_command(self, command: str) -> None:
        self._number += 1
        self.commands.append((self.clock.steady(), command))
        self._say(self.script(self.connections, self._number, command))

    def _say(self, arrivals: Arrivals) -> None:
        for after_s, data in arrivals:
            self._wire.arrives(after_s, data)
