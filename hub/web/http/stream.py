"""One viewer's WebSocket: sends that do not wait for ever, and an end when the viewer leaves."""

from collections.abc import Awaitable, Callable

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

HEARTBEAT = '{"heartbeat":true}'
HEARTBEAT_S = 25.0
SEND_S = 30.0
_CLOSE_S = 2.0

Send = Callable[[str], Awaitable[None]]


class StreamEnd(Exception):
    """The stream is over: close with `code` and `reason`."""

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
    """Accept, and `run` until the viewer leaves, or until it ends by itself or by StreamEnd; then close.

    `run` is given what sends a text. A viewer who has read nothing for `SEND_S` seconds is closed with 1013.
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

        async def end_with_viewer() -> None:
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass  # what a viewer says is not heard
            tasks.cancel_scope.cancel()

        tasks.start_soon(end_with_viewer)
        try:
            await run(send)
            end = StreamEnd(1000, "")
        except StreamEnd as asked:
            end = asked
        except WebSocketDisconnect:
            pass
        tasks.cancel_scope.cancel()
    if end is not None:
        await close(websocket, end.code, end.reason)


async def close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close an accepted WebSocket; one that does not even take the goodbye is left to the server."""
    with anyio.move_on_after(_CLOSE_S):
        try:
            await websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            pass  # it has gone meanwhile
