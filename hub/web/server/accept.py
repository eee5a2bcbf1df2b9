"""Takes connections up: a few in each turn of the loop, each on a place of its own, refused where there is none.

A client that says nothing costs a socket and a reader of the loop. Only when it has sent something its connection
gets a transport and a protocol, which cost far more; so a crowd of silent ones keeps nobody waiting for long.
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

_IN_A_TURN = 32  # so that what comes in a burst leaves other tasks their turns
_BEGUN_IN_A_TURN = 8
_BACK_OFF_S = 0.1
_NOTHING_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Acceptor:
    """Accepts on a listening socket until that is closed."""

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
        self._speaking: deque[tuple[_Silent, Connection]] = deque()
        self._some_speak = anyio.Event()

    async def run(self) -> None:
        """Ends once `close` is called."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._begin_those_who_speak)
            while self._listening.fileno() != -1:
                try:
                    await anyio.wait_readable(self._listening)
                except anyio.ClosedResourceError:
                    break
                await anyio.sleep(self._accept_some())
            tasks.cancel_scope.cancel()

    def close(self) -> None:
        """Listen no more, and let those go who have said nothing."""
        if self._listening.fileno() != -1:
            anyio.notify_closing(self._listening)
            self._listening.close()
        for connection in self._connections.all():
            if isinstance(connection.transport, _Silent):
                connection.close()

    def _accept_some(self) -> float:
        """Seconds to wait before the next turn. Others stay in the queue of the kernel for so long.

        Nobody is accepted while a client that has sent something waits for its protocol: it could lose its place.
        Where no descriptor is left the connection that has waited longest gives its own back.
        """
        if self._speaking:
            return 0.0
        for _ in range(_IN_A_TURN):
            early_s = self._connections.early_s(asyncio.get_running_loop().time())
            if early_s > 0:
                return early_s
            try:
                connected, peer = self._listening.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _NOTHING_LEFT:
                    continue  # that client has gone already
                self._give_one_back()
                return _BACK_OFF_S
            self._admit(connected, peer[0] if isinstance(peer, tuple) else "")
        return 0.0

    def _admit(self, connected: socket.socket, address: str) -> None:
        connected.setblocking(False)
        self._overload.opened(address)
        place, pushed = self._connections.admit(address, asyncio.get_running_loop().time())
        if pushed is not None:
            self._overload.turned_away(pushed.address)
            pushed.close()
        if place is None:
            self._overload.turned_away(address)
            _refuse(connected)
        else:
            place.transport = silent = _Silent(connected)
            silent.listen(lambda: self._speaks(silent, place))

    def _speaks(self, silent: "_Silent", place: Connection) -> None:
        self._connections.requeue(place)
        self._speaking.append((silent, place))
        self._some_speak.set()

    async def _begin_those_who_speak(self) -> None:
        async with anyio.create_task_group() as tasks:
            while True:
                await self._some_speak.wait()
                self._some_speak = anyio.Event()
                while self._speaking:
                    for _ in range(min(_BEGUN_IN_A_TURN, len(self._speaking))):
                        self._begin(*self._speaking.popleft(), tasks)
                    await anyio.lowlevel.checkpoint()

    def _begin(self, silent: "_Silent", place: Connection, tasks: TaskGroup) -> None:
        if not place.is_closed:
            place.transport = None
            tasks.start_soon(self._take_up, silent.connected, place)

    async def _take_up(self, connected: socket.socket, place: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: self._protocol(place), connected)
        except OSError:
            place.leave()
            connected.close()

    def _give_one_back(self) -> None:
        oldest = self._connections.oldest_waiting()
        if oldest is not None:
            self._connections.counts.pushed_out += 1
            self._overload.turned_away(oldest.address)
            oldest.close()


class _Silent:
    """The transport of a connection over which nothing has come yet."""

    def __init__(self, connected: socket.socket) -> None:
        self.connected = connected
        self._loop = asyncio.get_running_loop()

    def listen(self, on_said: Callable[[], None]) -> None:
        """Have `on_said` called once, when something has come or the client has gone."""

        def said() -> None:
            self._loop.remove_reader(self.connected)
            on_said()

        self._loop.add_reader(self.connected, said)

    def close(self) -> None:
        """End it."""
        self._loop.remove_reader(self.connected)
        self.connected.close()

    abort = close

    def get_write_buffer_size(self) -> int:
        """Nothing was sent."""
        return 0


def _refuse(connected: socket.socket) -> None:
    try:
        connected.send(_REFUSAL)
    except OSError:
        pass  # it has gone, or takes nothing
    connected.close()
