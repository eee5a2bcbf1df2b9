"""A socket without a buffer of its own: received bytes can be read without waiting."""

import socket
from typing import Protocol

import anyio


class Connection(Protocol):
    """What the link needs of a socket. Every failure is an OSError; the end of the stream is `b""`."""

    async def send(self, data: bytes) -> None:
        """Send everything."""

    async def receive(self, most: int) -> bytes:
        """Wait for bytes."""

    def receive_nowait(self, most: int) -> bytes | None:
        """The bytes that have arrived; None where none have."""

    def close(self) -> None:
        """Close the socket; a repeat changes nothing."""


class StreamSocket:
    """A `Connection` over a connected stream socket, which it owns from now on."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock

    async def send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self.socket.send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self.socket)

    async def receive(self, most: int) -> bytes:
        while True:
            await anyio.wait_readable(self.socket)  # a reply is not there yet when one begins to wait for it
            if (data := self.receive_nowait(most)) is not None:
                return data

    def receive_nowait(self, most: int) -> bytes | None:
        try:
            return self.socket.recv(most)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self.socket.close()
