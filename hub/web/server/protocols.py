"""The HTTP and WebSocket protocols of a connection: uvicorn's, which report their phase to the connection table."""

import asyncio
from functools import partial
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from hub.web.http.stream import TRY_LATER
from hub.web.server.connections import Connection, Phase

CUT_OFF = "hub.cut_off"
"""The key, in the state of a request's scope, of the function that aborts its connection."""

_LINGER_S = 2.0
_BAD_TEXT = 1007


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP protocol; it reports the phase of its connection."""

    def __init__(self, config: Config, server_state: ServerState, connection: Connection) -> None:
        super().__init__(config, server_state, {CUT_OFF: self.cut_off})
        self._connection = connection
        self._seen: tuple[Phase, object] = (Phase.HEAD, None)
        viewer: Any = partial(ViewerProtocol, connection=connection)
        self.ws_protocol_class = viewer

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._connection.transport = transport
        if self._connection.is_closed:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # after an error too, or its timer keeps this object in memory
        self._connection.release()

    def data_received(self, data: bytes) -> None:
        if self._connection.phase is Phase.IDLE:
            self._connection.enter(Phase.HEAD, self.loop.time())
        super().data_received(data)
        self._report_phase()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._report_phase()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connection.stall(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connection.stall(False)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._connection.enter(Phase.SOCKET, self.loop.time())
        super().handle_websocket_upgrade(event)

    def cut_off(self) -> None:
        """Abort the connection, so that its client sees that the response is incomplete."""
        self.cycle.disconnected = True
        self.transport.abort()

    def _report_phase(self) -> None:
        phase = self._phase()
        if (phase, self.cycle) != self._seen:
            self._seen = phase, self.cycle
            self._connection.enter(phase, self.loop.time())

    def _phase(self) -> Phase:
        if self._connection.phase is Phase.SOCKET or self.cycle is None:
            return self._connection.phase
        if not self.cycle.response_complete:
            return Phase.BODY if self.cycle.more_body else Phase.ANSWERING
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.DISCARDING
        return Phase.HEAD if self._connection.phase is Phase.HEAD else Phase.IDLE


class ViewerProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol; it closes a viewer that does not read with 1013, without a flush."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connection: Connection,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connection = connection

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connection.release()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connection.stall(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connection.stall(False)

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; one that is not UTF-8 closes the WebSocket with 1007. The hub ignores the contents."""
        if self.curr_msg_data_type == "text" and not _is_text(self.frames):
            self.frames = []
            if not self.close_sent:
                self.conn.send_close(_BAD_TEXT, "this is not UTF-8")
                self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        if self.close_sent:
            raise ClientDisconnected  # the protocol has closed it; the application learns of that from this error
        if message["type"] == "websocket.close":
            self._connection.enter(Phase.DISCARDING, self.loop.time())
            self.writable.set()
            self.loop.call_later(_LINGER_S, self.transport.abort)
        await super().send(message)

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(TRY_LATER, "nothing was read; connect again")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.loop.call_later(_LINGER_S, self.transport.abort)


def _is_text(frames: list[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
