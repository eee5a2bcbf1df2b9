"""A client for tests: one command at a time through the real protocol over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketStream

from hub.nl43.commands import Command
from hub.nl43.protocol import NEED_DATA, Event, Protocol, Reply


class Client:
    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.protocol = Protocol()

    async def ask(self, command: Command) -> Reply:
        await self.stream.send(self.protocol.send(command))
        event = await self.event()
        assert isinstance(event, Reply)
        assert event.command == command
        return event

    async def event(self) -> Event:
        with anyio.fail_after(60):
            while (event := self.protocol.next_event()) is NEED_DATA:
                self.protocol.receive_data(await self.stream.receive())
        return event

    async def has_ended(self) -> bool:
        """Read until the meter ends the connection, orderly or not."""
        with anyio.fail_after(60):
            try:
                while True:
                    await self.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return True

    async def raw(self, data: bytes, count: int) -> bytes:
        """Send bytes as they are and read `count` bytes of whatever comes."""
        await self.stream.send(data)
        received = b""
        with anyio.fail_after(60):
            while len(received) < count:
                received += await self.stream.receive(count - len(received))
        return received


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    with anyio.fail_after(60):
        stream = await anyio.connect_tcp("127.0.0.1", port)
    async with stream:
        yield Client(stream)


async def connect_outcome(port: int, expected: str = "") -> str:
    """`connected`, `refused` or `hangs`; only where it is `expected` to hang is the wait short."""
    patience_s = 0.15 if expected == "hangs" else 30
    with anyio.move_on_after(patience_s):
        try:
            stream = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:
            return "refused"
        await stream.aclose()
        return "connected"
    return "hangs"
