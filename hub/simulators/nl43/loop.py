"""The part of the event loop that simulated meters use.

Here alone asyncio is named. A thousand meters in one process have to leave the core to the program under test:
reader callbacks on plain sockets spare a task and a stream per connection, and a meter that resets, freezes or
refuses needs the bare socket anyway.
"""

import asyncio
from collections.abc import Callable
from socket import socket
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Loop(Protocol):
    """What asyncio and uvloop both offer."""

    def time(self) -> float: ...
    def call_soon(self, callback: Callable[[], object], /) -> Timer: ...
    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer: ...
    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer: ...
    def add_reader(self, fd: socket, callback: Callable[[], object], /) -> None: ...
    def remove_reader(self, fd: socket, /) -> bool: ...


def running_loop() -> Loop:
    """Raises RuntimeError outside of asyncio."""
    return asyncio.get_running_loop()
