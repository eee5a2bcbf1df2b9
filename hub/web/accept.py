"""Takes connections up: a few in each turn of the loop, each on a place of its own, refused where there is none."""

import asyncio
import errno
import socket
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from hub.web.connections import Connection, Connections
from hub.web.overload import Overload

_IN_A_TURN = 32  # so that what comes in a burst leaves other tasks their turns
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

    async def run(self) -> None:
        """Ends once `close` is called."""
        while self._listening.fileno() != -1:
            try:
                await anyio.wait_readable(self._listening)
            except anyio.ClosedResourceError:
                return
            async with anyio.create_task_group() as tasks:
                is_exhausted = not self._accept_some(tasks)
            if is_exhausted:
                await anyio.sleep(_BACK_OFF_S)

    def close(self) -> None:
        """Listen no more."""
        if self._listening.fileno() != -1:
            anyio.notify_closing(self._listening)
            self._listening.close()

    def _accept_some(self, tasks: TaskGroup) -> bool:
        """False when no descriptor is left: then the connection that has waited longest gives its own back."""
        for _ in range(_IN_A_TURN):
            try:
                connected, peer = self._listening.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _NOTHING_LEFT:
                    continue  # that client has gone already
                self._give_one_back()
                return False
            connected.setblocking(False)
            self._admit(connected, peer[0] if isinstance(peer, tuple) else "", tasks)
        return True

    def _admit(self, connected: socket.socket, address: str, tasks: TaskGroup) -> None:
        self._overload.opened(address)
        place, pushed = self._connections.admit(address, asyncio.get_running_loop().time())
        if pushed is not None:
            self._overload.turned_away(pushed.address)
            pushed.close()
        if place is None:
            self._overload.turned_away(address)
            _refuse(connected)
        else:
            tasks.start_soon(self._take_up, connected, place)

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
            self._connections.remove(oldest)
            self._connections.counts.pushed_out += 1
            self._overload.turned_away(oldest.address)
            oldest.close()


def _refuse(connected: socket.socket) -> None:
    try:
        connected.send(_REFUSAL)
    except OSError:
        pass  # it has gone, or takes nothing
    connected.close()
