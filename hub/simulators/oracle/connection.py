"""The connection of one client: packets, breaks and resets, and requests assembled from packets."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, cast

from hub.simulators.oracle import packets, replies, requests
from hub.simulators.oracle.answers import OraError
from hub.simulators.oracle.encoding import Incomplete
from hub.simulators.oracle.faults import Counters
from hub.simulators.oracle.packets import Packet
from hub.simulators.oracle.requests import BindTypesOf, Request


class Gone(Exception):
    """The client has closed, or was cut off."""


class Connection(asyncio.Protocol):
    """Runs `life` in a task of its own from the first byte; a lost connection cancels it."""

    def __init__(
        self,
        life: Callable[["Connection"], Coroutine[Any, Any, None]],
        counters: Counters,
        ignores_breaks: Callable[[], bool],
    ) -> None:
        self.sdu = 8192
        self._life = life
        self._ignores_breaks = ignores_breaks
        self._counters = counters
        self._framer = packets.Framer()
        self._inbox: deque[Packet] = deque()
        self._arrived = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._executing = False
        self._broken = False
        self._pending = replies.CANCELLED

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._task = asyncio.get_running_loop().create_task(self._life(self))

    def data_received(self, data: bytes) -> None:
        for packet in self._framer.feed(data):
            if packet.kind == packets.MARKER:
                self._on_marker(packet.body[2])
            else:
                self._inbox.append(packet)
                self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._arrived.set()
        if self._task is not None:
            self._task.cancel()

    def close(self) -> None:
        """Close once everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _send_marker(self, kind: int) -> None:
        self._send(self._framer.packet(packets.MARKER, packets.marker(kind)))

    def accept(self) -> None:
        self._send(self._framer.packet(packets.ACCEPT, packets.accept(self.sdu)))
        self._framer.wide = True

    def refuse(self, code: int, text: str) -> None:
        """Refuse as a listener does, and close."""
        self._send(self._framer.packet(packets.REFUSE, packets.refusal(code, text)))
        self.close()

    def reply(self, payload: bytes) -> None:
        """Send a whole answer."""
        self._send(b"".join(packets.answer_packets(payload + replies.END, self.sdu)))

    def drop(self, payload: bytes) -> None:
        """Send the first half of an answer's packets, then close. Raises Gone."""
        self._counters.dropped += 1
        parts = packets.answer_packets(payload + replies.END, self.sdu)
        self._send(b"".join(parts[: len(parts) // 2]))
        self.close()
        raise Gone

    def fail(self, error: OraError) -> None:
        """Send a break; the error follows once the client has reset."""
        self._counters.errors += 1
        self._pending = error
        self._send_marker(packets.BREAK)

    def _on_marker(self, kind: int) -> None:
        """A break ends the statement that executes; a reset is answered with a reset and the error."""
        if kind != packets.RESET:
            self._counters.breaks += 1
        if self._executing and not self._broken and self._ignores_breaks():
            return
        if kind == packets.RESET:
            self._send_marker(packets.RESET)
            self.reply(replies.outcome(self._pending))
            self._pending = replies.CANCELLED
        elif self._executing and not self._broken and self._task is not None:
            self._broken = True
            self._task.cancel()
            self._send_marker(packets.BREAK)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Run a statement in the block: a break from the client ends it, and the session continues."""
        self._executing = True
        try:
            yield
        except asyncio.CancelledError:
            self._counters.aborted += 1
            if not self._broken or self._task is None:
                raise
            self._task.uncancel()
        finally:
            self._executing = self._broken = False

    async def packet(self) -> Packet:
        """The next packet that is no marker. Raises Gone."""
        while not self._inbox:
            if self._transport is None:
                raise Gone
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def request(self, bind_types_of: BindTypesOf) -> Request:
        """The next request. Raises Gone, UnknownRequest."""
        data = b""
        while True:
            packet = await self.packet()
            if packet.data_flags & packets.END_OF_FILE:
                raise Gone
            data += packet.body
            if self._inbox:
                continue
            try:
                return requests.parse_request(data, bind_types_of)
            except Incomplete:
                continue
