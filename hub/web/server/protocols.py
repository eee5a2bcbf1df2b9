"""The protocols of one connection: uvicorn's, held to the place that the connection has in the table."""

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
"""Of the state in a request's scope: what ends its answer unfinished."""

_LINGER_S = 2.0
_BAD_TEXT = 1007


class HttpProtocol(H11Protocol):
    """Tells the place of the connection which phase it is in."""

    def __init__(self, config: Config, server_state: ServerState, place: Connection) -> None:
        super().__init__(config, server_state, {CUT_OFF: self.cut_off})
        self._place = place
        self._seen: tuple[Phase, object] = (Phase.HEAD, None)
        viewer: Any = partial(ViewerProtocol, place=place)
        self.ws_protocol_class = viewer

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._place.transport = transport
        if self._place.is_closed:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # also after an error, or its timer keeps all of this in memory
        self._place.leave()

    def data_received(self, data: bytes) -> None:
        if self._place.phase is Phase.IDLE:
            self._place.enter(Phase.HEAD, self.loop.time())
        super().data_received(data)
        self._note()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._place.stall(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._place.stall(False)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._place.enter(Phase.SOCKET, self.loop.time())
        super().handle_websocket_upgrade(event)

    def cut_off(self) -> None:
        """End the answer under way, and with it the connection, so that its client sees that it is not whole."""
        self.cycle.disconnected = True
        self.transport.abort()

    def _note(self) -> None:
        phase = self._phase()
        if (phase, self.cycle) != self._seen:
            self._seen = phase, self.cycle
            self._place.enter(phase, self.loop.time())

    def _phase(self) -> Phase:
        if self._place.phase is Phase.SOCKET or self.cycle is None:
            return self._place.phase
        if not self.cycle.response_complete:
            return Phase.BODY if self.cycle.more_body else Phase.ANSWERING
        if self.conn.their_state is h11.SEND_BODY:
            return Phase.DISCARDING
        return Phase.HEAD if self._place.phase is Phase.HEAD else Phase.IDLE


class ViewerProtocol(WebSocketsSansIOProtocol):
    """Gives a viewer up that does not read: with 1013, and without waiting for its buffer to empty."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        place: Connection,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._place = place

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._place.leave()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._place.stall(True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._place.stall(False)

    def send_receive_event_to_app(self) -> None:
        """What a viewer says is not heard, so it is only looked at for text that is none: that ends with 1007."""
        if self.curr_msg_data_type == "text" and not _is_text(self.frames):
            self.frames = []
            if not self.close_sent:
                self.conn.send_close(_BAD_TEXT, "this is not UTF-8")
                self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        if self.close_sent:
            raise ClientDisconnected  # the protocol has ended it, and the application is about to hear of that
        if message["type"] == "websocket.close":
            self._place.enter(Phase.DISCARDING, self.loop.time())
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
