"""The live stream of many units: one message per tick with the units that changed."""

from collections.abc import Sequence
from contextlib import closing

import anyio
from fastapi import APIRouter, WebSocket

from hub.units.unit import Unit
from hub.web.auth.roles import Viewer
from hub.web.fleet_table import FleetTable, UnitFilter
from hub.web.http.stream import FORBIDDEN, HEARTBEAT, HEARTBEAT_S, INVALID, Send, StreamEnd, serve_stream

_LONGEST_GLOB = 200


def fleet_routes() -> APIRouter:
    """WS /api/live."""
    routes = APIRouter()
    routes.add_api_websocket_route("/api/live", watch_fleet)
    return routes


async def watch_fleet(websocket: WebSocket, caller: Viewer, units: str = "*", watch: bool = False) -> None:
    """Arrays of the units that match the glob `units`: first all, then per tick those that changed.

    There is no queue for a slow viewer: its next message has the newest state of all units that changed meanwhile.
    The stream does not change how often meters are polled; with `watch`, for operators, the matching units are
    polled at their `watched` cadence while it lasts.
    """

    async def run(send: Send) -> None:
        if len(units) > _LONGEST_GLOB:
            raise StreamEnd(INVALID, f"units may have up to {_LONGEST_GLOB} characters")
        if watch and not caller.may("operator"):
            raise StreamEnd(
                FORBIDDEN, f"{caller.name} is a {caller.role}; watch=true needs the role operator; leave it out"
            )
        table: FleetTable = websocket.app.state.fleet_table
        chosen = UnitFilter(units)
        with closing(Watched()) as watched:
            since, sent_s = -1, anyio.current_time()
            while True:
                tick = table.refresh()
                if watch:
                    watched.follow(table.units(chosen))
                text = table.text(since, chosen)
                since = tick
                if text is None and anyio.current_time() - sent_s >= HEARTBEAT_S:
                    text = HEARTBEAT
                if text is not None:
                    await send(text)
                    sent_s = anyio.current_time()
                await anyio.sleep(table.until_next_tick_s())

    await serve_stream(websocket, run)


class Watched:
    """The units that one operator watches; each counts the operator as a viewer meanwhile."""

    def __init__(self) -> None:
        self._units: Sequence[Unit] = ()

    def follow(self, units: Sequence[Unit]) -> None:
        """Watch these units from now on, instead of the former ones."""
        if units is self._units:
            return
        before, now = set(self._units), set(units)
        for unit in now - before:
            unit.add_viewer()
        for unit in before - now:
            unit.remove_viewer()
        self._units = units

    def close(self) -> None:
        """Watch no unit any more."""
        self.follow(())
