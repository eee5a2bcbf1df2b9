"""A small webhook receiver for demo, benches and tests: it checks signatures and stores the messages."""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream
from standardwebhooks import Webhook, WebhookVerificationError

_CHUNK = 64 * 1024
_MOST_KEPT = 10_000
_MOST_BODY = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """One POST request; `time` is its arrival in seconds of this machine's steady clock."""

    id: str
    body: bytes
    headers: dict[str, str]
    time: float
    is_signed: bool

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class LocalReceiver:
    """The receiver: `received` has the newest 10,000 messages, `count` counts all, `refused` bad signatures."""

    port: int = 0
    service_s: float = 0.0  # simulated work before each answer
    received: deque[Received] = field(default_factory=lambda: deque(maxlen=_MOST_KEPT))
    count: int = 0
    connections: int = 0
    refused: int = 0
    on_received: Callable[[Received], None] | None = None
    _verify: Webhook | None = None
    _arrived: anyio.Event = field(default_factory=anyio.Event)

    @property
    def url(self) -> str:
        """The URL of the receiver."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def wait_for(self, count: int) -> None:
        """Wait until `count` messages have arrived in all."""
        while self.count < count:
            await self._arrived.wait()

    def handle(self, headers: dict[str, str], body: bytes) -> int:
        """Store a message; returns the HTTP status of the answer."""
        if self._verify is not None:
            try:
                self._verify.verify(body, headers, json_parse=False)
            except (WebhookVerificationError, ValueError):
                self.refused += 1
                return 401
        is_signed = self._verify is not None
        found = Received(headers.get("webhook-id", ""), body, headers, monotonic(), is_signed)
        self.received.append(found)
        self.count += 1
        self._arrived.set()
        self._arrived = anyio.Event()
        if self.on_received is not None:
            self.on_received(found)
        return 204

    async def _serve(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_CHUNK)
            try:
                while await self._serve_one(stream, connection):
                    connection.start_next_cycle()
            except (h11.RemoteProtocolError, anyio.BrokenResourceError):
                return

    async def _serve_one(self, stream: SocketStream, connection: h11.Connection) -> bool:
        headers: dict[str, str] = {}
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                try:
                    connection.receive_data(await stream.receive(_CHUNK))
                except anyio.EndOfStream:
                    connection.receive_data(b"")
            elif isinstance(event, h11.Request):
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MOST_BODY:
                    return False
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        status = self.handle(headers, bytes(body))
        if self.service_s:
            await anyio.sleep(self.service_s)
        answer = connection.send(h11.Response(status_code=status, headers=[("content-length", "0")]))
        end = connection.send(h11.EndOfMessage())
        await stream.send((answer or b"") + (end or b""))
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE


@asynccontextmanager
async def open_receiver(
    host: str = "127.0.0.1",
    port: int = 0,
    secret: str | None = None,
    service_s: float = 0.0,
    on_received: Callable[[Received], None] | None = None,
) -> AsyncIterator[LocalReceiver]:
    """Serve while the block runs; port 0 chooses a free one. Raises OSError when the port is in use."""
    receiver = LocalReceiver(
        service_s=service_s, on_received=on_received, _verify=None if secret is None else Webhook(secret)
    )
    async with await anyio.create_tcp_listener(local_host=host, local_port=port) as listener:
        receiver.port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, receiver._serve)
            yield receiver
            tasks.cancel_scope.cancel()
