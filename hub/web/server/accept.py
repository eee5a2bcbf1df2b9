"""Accepts connections, a few in each iteration of the event loop, and refuses those without a free slot.

A client that has sent nothing costs a socket and a reader of the loop. Only with its first byte a connection gets a
transport and a protocol, which cost far more, so that many idle connections do not delay the others. Invariants:

- Nothing is accepted while a connection with a first byte waits for its protocol: accepting could evict it.
- A connection in `_readable` has no reader in the loop any more; it gets a protocol unless it was closed meanwhile.
"""

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from hub.web.server.connections import Connection, Connections
from hub.web.server.overload import Overload

_ACCEPTED_PER_ITERATION = 32  # a burst of connections must not block the other tasks
_STARTED_PER_ITERATION = 8
_BACK_OFF_S = 0.1
_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Acceptor:
    """Accepts connections on a listening socket until `close` is called."""

    def __init__(
        self,
        listening: socket.socket,
        connections: Connections,
        overload: Overload,
        protocol: Callable[[Connection], asyncio.Protocol],
    ) -> None:
        self._listening = listening
        self._connections = connections
        self._overload = overload
        self._protocol = protocol
        self._readable: deque[tuple[_UnopenedTransport, Connection]] = deque()
        self._has_readable = anyio.Event()

    async def run(self) -> None:
        """Accept until `close` is called."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._start_protocols)
            while self._listening.fileno() != -1:
                try:
                    await anyio.wait_readable(self._listening)
                except anyio.ClosedResourceError:
                    break
                await anyio.sleep(self._accept_some())
            tasks.cancel_scope.cancel()

    def close(self) -> None:
        """Close the listening socket, and the connections over which nothing has arrived."""
        if self._listening.fileno() != -1:
            anyio.notify_closing(self._listening)
            self._listening.close()
        for connection in self._connections.all():
            if isinstance(connection.transport, _UnopenedTransport):
                connection.close()

    def _accept_some(self) -> float:
        """Accept what is allowed now; returns the seconds until the next attempt.

        Further connections stay in the kernel's queue meanwhile. When the process has no file descriptor left, the
        connection that has waited longest is closed.
        """
        if self._readable:
            return 0.0
        for _ in range(_ACCEPTED_PER_ITERATION):
            accept_delay_s = self._connections.accept_delay_s(asyncio.get_running_loop().time())
            if accept_delay_s > 0:
                return accept_delay_s
            try:
                connected, peer = self._listening.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    continue  # this client has disconnected already
                self._free_descriptor()
                return _BACK_OFF_S
            self._admit(connected, peer[0] if isinstance(peer, tuple) else "")
        return 0.0

    def _admit(self, connected: socket.socket, address: str) -> None:
        connected.setblocking(False)
        self._overload.opened(address)
        connection, evicted = self._connections.admit(address, asyncio.get_running_loop().time())
        if evicted is not None:
            self._overload.refused(evicted.address)
            evicted.close()
        if connection is None:
            self._overload.refused(address)
            _refuse(connected)
        else:
            connection.transport = unopened = _UnopenedTransport(connected)
            unopened.listen(lambda: self._on_first_byte(unopened, connection))

    def _on_first_byte(self, unopened: "_UnopenedTransport", connection: Connection) -> None:
        self._connections.requeue(connection)
        self._readable.append((unopened, connection))
        self._has_readable.set()

    async def _start_protocols(self) -> None:
        async with anyio.create_task_group() as tasks:
            while True:
                await self._has_readable.wait()
                self._has_readable = anyio.Event()
                while self._readable:
                    for _ in range(min(_STARTED_PER_ITERATION, len(self._readable))):
                        self._start(*self._readable.popleft(), tasks)
                    await anyio.lowlevel.checkpoint()

    def _start(self, unopened: "_UnopenedTransport", connection: Connection, tasks: TaskGroup) -> None:
        if not connection.is_closed:
            connection.transport = None
            tasks.start_soon(self._start_protocol, unopened.connected, connection)

    async def _start_protocol(self, connected: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: self._protocol(connection), connected)
        except OSError:
            connection.release()
            connected.close()

    def _free_descriptor(self) -> None:
        oldest = self._connections.longest_waiting()
        if oldest is not None:
            self._connections.counts.evicted += 1
            self._overload.refused(oldest.address)
            oldest.close()


class _UnopenedTransport:
    """The transport of a connection over which nothing has arrived yet."""

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self._loop = asyncio.get_running_loop()

    def listen(self, on_readable: Callable[[], None]) -> None:
        """Call `on_readable` once, when the first byte arrives or the client disconnects."""

        def notify() -> None:
            self._loop.remove_reader(self.connected)
            on_readable()

        self._loop.add_reader(self.connected, notify)

    def close(self) -> None:
        """Close the socket."""
        self._loop.remove_reader(self.connected)
        self.connected.close()

    abort = close

    def get_write_buffer_size(self) -> int:
        """0 bytes: nothing was sent."""
        return 0


def _refuse(connected: socket.socket) -> None:
    try:
        connected.send(_REFUSAL)
    except OSError:
        pass  # the client has disconnected, or its receive buffer is full
    connected.close()
