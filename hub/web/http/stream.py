"""Serves one viewer's WebSocket: every send has a deadline, and the stream ends when the viewer disconnects."""

from collections.abc import Awaitable, Callable

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

HEARTBEAT = '{"heartbeat":true}'
HEARTBEAT_S = 25.0
SEND_S = 30.0
_CLOSE_S = 2.0

Send = Callable[[str], Awaitable[None]]


class StreamEnd(Exception):
    """Raised to end the stream: the WebSocket is closed with `code` and `reason`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


GOING_AWAY = 1001
FORBIDDEN = 4403
UNKNOWN_UNIT = 4404
TRY_LATER = 1013
INVALID = 1008


async def serve_stream(websocket: WebSocket, run: Callable[[Send], Awaitable[None]]) -> None:
    """Accept the WebSocket and call `run(send)` until it returns, raises StreamEnd, or the viewer disconnects.

    `send` sends one text message. A viewer that has read nothing for `SEND_S` seconds is closed with 1013.
    """
    await websocket.accept()

    async def send(text: str) -> None:
        try:
            with anyio.fail_after(SEND_S):
                await websocket.send_text(text)
        except TimeoutError:
            raise StreamEnd(TRY_LATER, f"nothing was read for {SEND_S:g} s; connect again") from None

    end: StreamEnd | None = None
    async with anyio.create_task_group() as tasks:

        async def end_on_disconnect() -> None:
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass  # messages of viewers are ignored
            tasks.cancel_scope.cancel()

        tasks.start_soon(end_on_disconnect)
        try:
            await run(send)
            end = StreamEnd(1000, "")
        except StreamEnd as raised:
            end = raised
        except WebSocketDisconnect:
            pass
        tasks.cancel_scope.cancel()
    if end is not None:
        await close(websocket, end.code, end.reason)


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close an accepted WebSocket; the server drops it if the close frame cannot be sent within 2 s."""
    with anyio.move_on_after(_CLOSE_S):
        try:
            await websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the viewer has disconnected meanwhile
