"""The attackers of the edge bench, in a process of their own: clients that hold connections and finish nothing.

Run as `python -m hub.bench.attackers`. It reads one JSON command per line from standard input and answers each:

    {"do": "attack", "port": 8480, "silent": 1150, "bodies": 300, "downloads": 200, "path": "/…"}    until its end
    {"do": "probe", "port": 8480}    seconds that each /readyz took since the last probe, and how often it failed

A process that probes must not attack as well: delays of its own loop would be measured as the hub's.
"""

import json
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

_RETRY_S = 5.0
_ESTABLISHED = 1  # of TCP_INFO
_PROBE_EVERY_S = 0.5
_PROBE_WITHIN_S = 10.0
_HEAD = "Host: 127.0.0.1:{port}\r\n"
_BODY = "POST /api/login HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\n{{"
_DOWNLOAD = "GET {path} HTTP/1.1\r\n{head}\r\n"
_READY = "GET /readyz HTTP/1.1\r\n{head}Connection: close\r\n\r\n"


@dataclass
class Clients:
    """Clients of one port, and what their probes measured."""

    port: int
    ready_s: list[float] = field(default_factory=list)
    unready: int = 0

    async def hold(self, first: bytes) -> None:
        """Connect, send `first`, read nothing, and reconnect 5 s after the hub has closed the connection."""
        while True:
            with suppress(OSError), socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.setblocking(False)
                await _connect(connection, self.port)
                if first:
                    connection.send(first)
                await _ended(connection)
            await anyio.sleep(_RETRY_S)

    async def probe(self) -> None:
        """Request /readyz every half second, until cancelled."""
        request = _READY.format(head=_HEAD.format(port=self.port)).encode()
        while True:
            began_s = time.monotonic()
            try:
                with anyio.fail_after(_PROBE_WITHIN_S):
                    async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
                        await stream.send(request)
                        is_ready = (await stream.receive()).startswith(b"HTTP/1.1 200")
            except (OSError, TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError):
                is_ready = False
            self.ready_s.append(time.monotonic() - began_s)
            self.unready += not is_ready
            await anyio.sleep(_PROBE_EVERY_S)

    def report(self) -> dict[str, Any]:
        """Return the measurements, and reset them."""
        found = {"ready_s": self.ready_s, "unready": self.unready}
        self.ready_s, self.unready = [], 0
        return found


async def _connect(connection: socket.socket, port: int) -> None:
    with suppress(BlockingIOError):
        connection.connect(("127.0.0.1", port))
    await anyio.wait_writable(connection)
    if (error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) != 0:
        raise OSError(error, "not connected")


async def _ended(connection: socket.socket) -> None:
    """Return once the hub has closed or reset the connection; what it sent stays unread."""
    while True:
        await anyio.sleep(1.0)
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state != _ESTABLISHED:
            return


def _attack(command: dict[str, Any], clients: Clients, tasks: TaskGroup) -> None:
    head = _HEAD.format(port=command["port"])
    kinds = {
        "silent": b"",
        "bodies": _BODY.format(head=head).encode(),
        "downloads": _DOWNLOAD.format(head=head, path=command["path"]).encode(),
    }
    for kind, first in kinds.items():
        for _ in range(command[kind]):
            tasks.start_soon(clients.hold, first)


async def _serve() -> None:
    clients: Clients | None = None
    async with anyio.create_task_group() as tasks:
        async for line in anyio.wrap_file(sys.stdin):
            command = json.loads(line)
            if clients is None:
                clients = Clients(command["port"])
                if command["do"] == "probe":
                    tasks.start_soon(clients.probe)
            if command["do"] == "attack":
                _attack(command, clients, tasks)
            print(json.dumps(clients.report()), flush=True)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(_serve)
