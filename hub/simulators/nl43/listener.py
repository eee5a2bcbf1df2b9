"""A listening port that can be open, closed, or hanging: it then leaves connects without an answer."""

import socket
import struct
from collections.abc import Callable
from enum import Enum

from hub.simulators.nl43.loop import Loop

_RESET = struct.pack("ii", 1, 0)


class AcceptMode(Enum):
    """How the port answers a connect: with an accept, with a refusal (RST), or not at all."""

    OPEN = "open"
    CLOSED = "closed"
    HANGING = "hanging"


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


class Listener:
    """One port. With `port` 0 the first opening chooses it; it stays the same afterwards.

    To hang, it fills the kernel's queue of one with a connection of its own, which it never accepts: the kernel
    then drops SYNs, as a meter does whose slot is in use.
    """

    def __init__(self, loop: Loop, host: str, port: int, accepted: Callable[[socket.socket], None]) -> None:
        self.host, self.port = host, port
        self.mode = AcceptMode.CLOSED
        self._loop = loop
        self._accepted = accepted
        self._socket: socket.socket | None = None
        self._plug: socket.socket | None = None

    def set_mode(self, mode: AcceptMode) -> None:
        """Change the mode. Raises OSError when the port cannot be opened."""
        if mode is self.mode:
            return
        if mode is AcceptMode.CLOSED:
            self._close()
            return
        listening = self._socket or self._listen()
        was, self.mode = self.mode, mode
        if mode is AcceptMode.HANGING:
            if was is AcceptMode.OPEN:
                self._loop.remove_reader(listening)
            self._plug_queue()
            return
        waiting = self._unplug(listening)
        self._loop.add_reader(listening, self._on_connect)
        for sock in waiting:
            self._accepted(sock)

    def _listen(self) -> socket.socket:
        sock = socket.socket()
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.host, self.port))
            sock.listen(0)
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"cannot listen on {self.host}:{self.port}: {error.strerror}") from error
        self.port = sock.getsockname()[1]
        self._socket = sock
        return sock

    def _plug_queue(self) -> None:
        self._plug = socket.socket()
        self._plug.setblocking(False)
        self._plug.connect_ex(("127.0.0.1" if self.host == "0.0.0.0" else self.host, self.port))

    def _unplug(self, listening: socket.socket) -> list[socket.socket]:
        """The connections that entered the queue before the plug did."""
        if self._plug is None:
            return []
        own, waiting = self._plug.getsockname(), []
        while True:
            try:
                sock, peer = listening.accept()
            except BlockingIOError:
                break
            if peer == own:
                sock.close()
            else:
                waiting.append(sock)
        reset(self._plug)
        self._plug = None
        return waiting

    def _on_connect(self) -> None:
        if self._socket is None:
            return
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self._accepted(sock)

    def _close(self) -> None:
        if self._socket is not None:
            if self.mode is AcceptMode.OPEN:
                self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._plug is not None:
            reset(self._plug)
            self._plug = None
        self.mode = AcceptMode.CLOSED
