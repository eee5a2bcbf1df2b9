"""A connection in memory to an instrument of lines, for tests in virtual time."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from hub.line.fields import by_pattern
from hub.line.session import Session
from tests.virtual_time import VirtualClock

FORM = by_pattern(r"T=(?P<temperature>-?[\d.]+)$")


class Wire:
    """A `Connection`: `says` has bytes arrive, `sent` is what the hub wrote; `on_sent` is called for each write."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._arrived = bytearray()
        self._is_ended = False
        self._news = anyio.Event()
        self.sent: list[bytes] = []
        self.on_sent: Callable[[], None] = lambda: None
        self.is_closed = False

    def says(self, data: bytes, after_s: float = 0.0) -> None:
        """`data` arrives in so many seconds, and is read a moment later; b"" ends the connection."""
        if after_s:
            self._tasks.start_soon(self._say_later, data, after_s)
            return
        self._arrived += data
        self._is_ended |= not data
        self._news.set()
        self._news = anyio.Event()

    async def _say_later(self, data: bytes, after_s: float) -> None:
        await anyio.sleep(after_s)
        self.says(data)

    async def send(self, data: bytes) -> None:
        self.sent.append(data)
        self.on_sent()

    async def receive(self, most: int) -> bytes:
        while (data := self.receive_nowait(most)) is None:
            await self._news.wait()
        await anyio.lowlevel.checkpoint()
        return data

    def receive_nowait(self, most: int) -> bytes | None:
        data = bytes(self._arrived[:most])
        del self._arrived[:most]
        return data or (b"" if self._is_ended else None)

    def close(self) -> None:
        self.is_closed = True


@asynccontextmanager
async def open_session(ask: bytes | None) -> AsyncIterator[tuple[Wire, Session]]:
    """A session that reads the temperature, and what is at its other end."""
    async with anyio.create_task_group() as tasks:
        wire = Wire(tasks)
        session = Session(wire, VirtualClock(), FORM, b"\r\n", ask)
        tasks.start_soon(session.run)
        yield wire, session
        tasks.cancel_scope.cancel()
