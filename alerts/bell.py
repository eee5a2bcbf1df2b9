"""Wakes a task of one event loop from another thread, without waiting for it."""

import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

import anyio


class Bell:
    """Rings are not counted: one that rang before the wait, or often, is one. A context manager that closes it."""

    def __init__(self) -> None:
        self._heard, self._rung = socket.socketpair()
        self._heard.setblocking(False)
        self._rung.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._heard.close()
        self._rung.close()

    def ring(self) -> None:
        """From any thread; never waits."""
        with suppress(BlockingIOError):  # full: it is ringing already
            self._rung.send(b"\0")

    async def wait(self) -> None:
        """Return once it has rung since the last return."""
        await anyio.wait_readable(self._heard)
        self._heard.recv(4096)
