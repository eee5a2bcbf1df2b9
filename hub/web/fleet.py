"""The live stream of many units: per tick one message with those that changed."""

import anyio
from fastapi import APIRouter, WebSocket

from hub.web.board import Board
from hub.web.security import Viewer
from hub.web.stream import HEARTBEAT, HEARTBEAT_S, INVALID, Send, StreamEnd, serve_stream

_LONGEST_GLOB = 200


def fleet_routes() -> APIRouter:
    """WS /api/live."""
    routes = APIRouter()
    routes.add_api_websocket_route("/api/live", watch_fleet)
    return routes


async def watch_fleet(websocket: WebSocket, caller: Viewer, units: str = "*") -> None:
    """Arrays of the units that match the glob `units`: first all, then per tick those that changed.

    A slow viewer is not queued for: its next message holds the newest of all that changed meanwhile.
    """

    async def run(send: Send) -> None:
        if len(units) > _LONGEST_GLOB:
            raise StreamEnd(INVALID, f"units may have up to {_LONGEST_GLOB} characters")
        board: Board = websocket.app.state.board
        since, sent_s = -1, anyio.current_time()
        while True:
            tick = board.look()
            text = board.text(since, units)
            since = tick
            if text is None and anyio.current_time() - sent_s >= HEARTBEAT_S:
                text = HEARTBEAT
            if text is not None:
                await send(text)
                sent_s = anyio.current_time()
            await anyio.sleep(board.rest_s())

    await serve_stream(websocket, run)
