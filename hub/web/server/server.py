"""The web server: bound before anything starts, asked to stop and never cancelled."""

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

log = structlog.get_logger()

_BACKLOG = 4096  # whoever finds the queue full tries again after a second, which is too late for health
_DRAIN_S = 1  # with a database that hangs too, all of the stop fits into 5 s
_STOP_S = 4.0
_PING_S = 10.0
_SWEEP_S = 1.0
_UNREAD_BYTES = 128 << 10  # of an answer, that the kernel makes room for: without a bound it is megabytes each
_NEVER_S = 86400
_COME_AGAIN_S = 5
_ALWAYS = ("/livez", "/readyz", "/healthz")


class PortTaken(OSError):
    """The port to listen on cannot be had; the message says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortTaken when the port is taken or the address is not of this machine."""
    try:
        return _bind(host, port)
    except OSError as error:
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}; see hub.listen") from None


def url_of(listening: socket.socket) -> str:
    """Where a bound socket is reached: with its real port where port 0 was asked for."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind(host: str, port: int) -> socket.socket:
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_BYTES)
        listening.bind(address[4])
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


class Server:
    """Serves `app` on a bound socket. `run` is asked to end, by `stop` or by cancellation, and never torn off.

    `connections` are the places there are; `on_overload` is told why they do not suffice, and None when they do.
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
            http="h11",  # which bounds the head of a request
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
        """Serve until asked to end; then streams end (1012), and answers under way get 1 s.

        Raises RuntimeError when called again: the socket is closed by then, and a supervisor must give up.
        """
        if self._is_started:
            raise RuntimeError("the web server has ended and cannot be started again")
        self._is_started = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve)
            try:
                await self._ended.wait()
            finally:
                self._ask()

    async def stop(self) -> None:
        """Ask `run` to end, and wait for it."""
        self._ask()
        if self._is_started:
            await self._ended.wait()

    def _ask(self) -> None:
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
        """Every second close what has stood still for too long, and tell of an overload once."""
        while True:
            await anyio.sleep(_SWEEP_S)
            now_s = asyncio.get_running_loop().time()
            for connection in self._connections.overdue(now_s):
                self._overload.timed_out(connection.address)
                connection.close()
            if self._overload.look(now_s):
                reason = self._overload.reason
                log.warning("overloaded by connections" if reason else "connections fit again", reason=reason)
                self._on_overload(reason)


class _Answered:
    """ASGI middleware: who cannot be served, or waits still when the server ends, gets an answer that says so."""

    def __init__(self, app: ASGIApp, connections: Connections) -> None:
        self._app = app
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._connections.is_busy and scope["path"] not in _ALWAYS:
            await _turn_away(scope, receive, send)
            return
        is_begun = False

        async def note(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except anyio.get_cancelled_exc_class():
            if scope["type"] != "http":
                raise
            # Only the server cancels, and this is the outermost call of its task: the cancellation ends here.
            if is_begun:
                scope["state"][CUT_OFF]()
                return
            with anyio.CancelScope(shield=True):
                await ProblemResponse(busy("the hub is stopping; ask again when it is back"))(scope, receive, send)


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    detail = "too many clients are being served; come again later"
    if scope["type"] == "http":
        problem = busy(detail, _COME_AGAIN_S)
        problem.headers["Connection"] = "close"
        await ProblemResponse(problem)(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": TRY_LATER, "reason": detail})


class _Uvicorn(uvicorn.Server):
    """Leaves the signals of the process alone, and has connections accepted by an acceptor."""

    acceptor: Acceptor

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def protocol(self, place: Connection) -> HttpProtocol:
        """The protocol of a new connection."""
        return HttpProtocol(self.config, self.server_state, place)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.acceptor.close()
        await super().shutdown()
