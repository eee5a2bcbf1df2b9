"""The web server: its socket is bound before anything starts, and it stops by request, never by cancellation."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import structlog
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.web.http.problems import ProblemResponse, busy
from hub.web.http.stream import SEND_S, TRY_LATER
from hub.web.server.accept import Acceptor
from hub.web.server.connections import Connection, Connections
from hub.web.server.overload import Overload
from hub.web.server.protocols import CUT_OFF, HttpProtocol
from hub.web.server.turns import Turns

log = structlog.get_logger()

_BACKLOG = 4096  # a client that finds the queue full retries after 1 s, which is too late for health checks
_DRAIN_S = 1  # so that the whole stop takes less than 5 s, even with a database that hangs
_STOP_S = 4.0
_PING_S = 10.0
_SWEEP_S = 1.0
_SEND_BUFFER_BYTES = 128 << 10  # in the kernel, per connection: without a limit it grows to megabytes
_NEVER_S = 86400
_BUSY_RETRY_S = 5
_HEALTH_PATHS = ("/livez", "/readyz", "/healthz")


class PortTaken(OSError):
    """The hub cannot listen on its address; the message says why, and which key to change."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortTaken when the port is in use or the address is not one of this machine."""
    try:
        return _bind(host, port)
    except OSError as error:
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}; change hub.listen") from None


def url_of(listening: socket.socket) -> str:
    """The URL of a bound socket, with the port that the system chose for port 0."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind(host: str, port: int) -> socket.socket:
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        listening.bind(address[4])
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


class Server:
    """Serves `app` on a bound socket. `stop` or a cancellation of `run` makes it drain for up to 1 s and end.

    `connections` limits the connections; `on_overload(reason)` is called when an overload begins, and with None
    when it ends.
    """

    def __init__(
        self,
        app: FastAPI,
        listening: socket.socket,
        connections: Connections | None = None,
        on_overload: Callable[[str | None], None] = lambda reason: None,
    ) -> None:
        self._connections = Connections() if connections is None else connections
        config = uvicorn.Config(
            _Answered(app, self._connections),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            http="h11",  # which limits the size of a request's head
            proxy_headers=False,
            ws_max_size=4096,
            ws_ping_interval=_PING_S,
            ws_ping_timeout=SEND_S,
            ws_per_message_deflate=False,
            timeout_keep_alive=_NEVER_S,  # the table of connections closes those that are idle
            timeout_graceful_shutdown=_DRAIN_S,
        )
        self._on_overload = on_overload
        self._overload = Overload()
        self._server = _Uvicorn(config)
        self._acceptor = Acceptor(listening, self._connections, self._overload, self._server.protocol)
        self._server.acceptor = self._acceptor
        self._shield = anyio.CancelScope(shield=True)
        self._ended = anyio.Event()
        self._is_started = False

    async def run(self) -> None:
        """Serve until stopped; then close streams with 1012, and give responses under way 1 s to finish.

        Raises RuntimeError when called again: the socket is closed by then, so a supervisor must not restart it.
        """
        if self._is_started:
            raise RuntimeError("the web server has ended and cannot be started again")
        self._is_started = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve)
            try:
                await self._ended.wait()
            finally:
                self._request_stop()

    async def stop(self) -> None:
        """Make `run` end, and wait for its end."""
        self._request_stop()
        if self._is_started:
            await self._ended.wait()

    def _request_stop(self) -> None:
        self._server.should_exit = True
        self._shield.deadline = min(self._shield.deadline, anyio.current_time() + _STOP_S)

    async def _serve(self) -> None:
        try:
            with self._shield:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._acceptor.run)
                    tasks.start_soon(self._sweep)
                    await self._server.serve()
                    tasks.cancel_scope.cancel()
        finally:
            self._acceptor.close()
            self._ended.set()

    async def _sweep(self) -> None:
        """Every second close the overdue connections, and report an overload once."""
        while True:
            await anyio.sleep(_SWEEP_S)
            now_s = asyncio.get_running_loop().time()
            for connection in self._connections.overdue(now_s):
                self._overload.timed_out(connection.address)
                connection.close()
            if self._overload.update(now_s):
                reason = self._overload.reason
                event = "too many connections" if reason else "connections are within their limit again"
                log.warning(event, reason=reason)
                self._on_overload(reason)


class _Answered:
    """ASGI middleware: answers 503 when too many clients are served, and to requests that a stop interrupts."""

    def __init__(self, app: ASGIApp, connections: Connections) -> None:
        self._app = app
        self._connections = connections
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_health = scope["path"] in _HEALTH_PATHS
        if self._connections.is_busy and not is_health:
            await _refuse(scope, receive, send)
            return
        has_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            if not is_health:
                await self._turns.wait()
            await self._app(scope, receive, send_noted)
        except anyio.get_cancelled_exc_class():
            if scope["type"] != "http":
                raise
            # Only the server cancels, and this is the outermost call of its task: the cancellation ends here.
            if has_begun:
                scope["state"][CUT_OFF]()
                return
            with anyio.CancelScope(shield=True):
                await ProblemResponse(busy("the hub is stopping; ask again when it is back"))(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    detail = f"too many clients are being served; try again in {_BUSY_RETRY_S} s"
    if scope["type"] == "http":
        problem = busy(detail, _BUSY_RETRY_S)
        problem.headers["Connection"] = "close"
        await ProblemResponse(problem)(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": TRY_LATER, "reason": detail})


class _Uvicorn(uvicorn.Server):
    """uvicorn's server without its signal handlers, and with an acceptor of its own."""

    acceptor: Acceptor

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def protocol(self, connection: Connection) -> HttpProtocol:
        """The HTTP protocol of a new connection."""
        return HttpProtocol(self.config, self.server_state, connection)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.acceptor.close()
        await super().shutdown()
