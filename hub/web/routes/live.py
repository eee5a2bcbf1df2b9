"""The live stream of one unit: its frames as they arrive, joined to its history for viewers that reconnect.

A viewer that sends `after` gets every reading above it exactly once:

- Events up to `_seen` are never sent again, so the overlap of history and subscription does no harm.
- The history is read until it reaches the newest published reading, which is awaited if it is not committed yet.
- If the subscription has dropped events meanwhile, the history is read again; such drops are not counted.
"""

import anyio
from fastapi import APIRouter, WebSocket
from sqlalchemy.exc import SQLAlchemyError

from hub.database.lane import LaneFull
from hub.readings.reading import is_of
from hub.readings.snapshot import Event, Snapshot, StateChange
from hub.store.resume import readings_after
from hub.units.fanout import Subscription
from hub.units.unit import Unit
from hub.web.access import PartsOf
from hub.web.auth.roles import Viewer
from hub.web.frame_text import FrameText
from hub.web.http.stream import (
    GOING_AWAY,
    HEARTBEAT,
    HEARTBEAT_S,
    INVALID,
    TRY_LATER,
    UNKNOWN_UNIT,
    Send,
    StreamEnd,
    serve_stream,
)
from hub.web.parts import Parts

QUEUE = 256
_PAGE = 200
_COMMIT_POLL_S = 0.2
_COMMIT_WAIT_S = 10.0
_SHOWN_CHANGES = ("reachability", "released")


def live_routes() -> APIRouter:
    """WS /api/units/{id}/live."""
    routes = APIRouter()
    routes.add_api_websocket_route("/api/units/{unit_id}/live", watch_unit)
    return routes


async def watch_unit(
    websocket: WebSocket, unit_id: str, parts: PartsOf, caller: Viewer, after: str | None = None
) -> None:
    """Frames of one unit: first the last known one, then each as it arrives.

    `after` is the last sequence number the viewer has: it then gets all readings since instead of the last frame.
    """

    async def run(send: Send) -> None:
        unit = parts.units.get(unit_id)
        if unit is None:
            raise StreamEnd(UNKNOWN_UNIT, f"there is no unit {unit_id[:64]!r}")
        if after is not None and not (after.isascii() and after.isdigit() and len(after) < 19):
            raise StreamEnd(INVALID, "after must be the sequence number of a frame")
        texts: FrameText = websocket.app.state.frame_text
        with unit.watch(QUEUE) as subscription:
            view = _View(unit, parts, texts, send, subscription, caller.may("operator"))
            await view.run(None if after is None else int(after))

    await serve_stream(websocket, run)


class _View:
    """The stream of one unit to one viewer."""

    def __init__(
        self,
        unit: Unit,
        parts: Parts,
        texts: FrameText,
        send: Send,
        events: Subscription[Event],
        with_raw: bool,
    ) -> None:
        self._unit = unit
        self._parts = parts
        self._texts = texts
        self._send_text = send
        self._events = events
        self._with_raw = with_raw
        self._seen = 0  # sequence numbers up to this one are not sent
        self._is_joining = False
        self._dropped_in_history = 0  # drops that the history replaced
        self._quiet_until_s = parts.clock.steady() + HEARTBEAT_S

    async def run(self, after: int | None) -> None:
        """Send until the viewer disconnects or the unit is removed."""
        if after is None:
            await self._send_state()
        else:
            await self._join_history(after)
        while True:
            try:
                with anyio.fail_after(self._quiet_until_s - self._parts.clock.steady()):
                    event = await anext(self._events)
            except TimeoutError:
                await self._send(HEARTBEAT)
            except StopAsyncIteration:
                raise StreamEnd(GOING_AWAY, "the hub has ended this stream; connect again") from None
            else:
                await self._send_event(event)

    async def _send_event(self, event: Event) -> None:
        if isinstance(event, Snapshot):
            if event.sequence > self._seen:
                await self._send_snapshot(event)
        elif isinstance(event, StateChange) and event.what in _SHOWN_CHANGES and event.new != "reachable":
            await self._send_state()

    async def _join_history(self, after: int) -> None:
        """Send everything above `after` from SQL, until the subscription continues it without a gap."""
        latest = self._unit.latest
        self._seen = after if latest is None else min(after, latest.sequence)
        self._is_joining = True
        while self._is_joining:
            self._events.drain_nowait()
            self._dropped_in_history = self._events.dropped
            latest = self._unit.latest
            await self._send_history(0 if latest is None else latest.sequence)
            self._is_joining = self._events.dropped != self._dropped_in_history
        if self._unit.frame()["feed_status"] != "ok":
            await self._send_state()

    async def _send_history(self, until: int) -> None:
        """Send what SQL has above `_seen`; reading `until` is published, so wait until it is committed."""
        waited_s = 0.0
        while True:
            seen = self._seen
            try:
                page = await self._parts.database.query(lambda s: readings_after(s, self._unit.id, seen, _PAGE))  # noqa: B023
            except (SQLAlchemyError, LaneFull):
                raise StreamEnd(TRY_LATER, "the history cannot be read now; connect again later") from None
            for snapshot in page:
                if is_of(snapshot.reading, self._unit.instrument.quantities):
                    await self._send_snapshot(snapshot)
                self._seen = snapshot.sequence
            if len(page) == _PAGE:
                continue
            if self._seen >= until:
                return
            if waited_s > _COMMIT_WAIT_S:
                raise StreamEnd(TRY_LATER, "the latest readings are not stored yet; connect again later")
            await anyio.sleep(_COMMIT_POLL_S)
            waited_s += _COMMIT_POLL_S

    async def _send_snapshot(self, snapshot: Snapshot) -> None:
        await self._send(self._texts.of_snapshot(snapshot, self._dropped, self._with_raw))

    async def _send_state(self) -> None:
        await self._send(self._texts.of_unit(self._unit, self._dropped, self._with_raw))

    async def _send(self, text: str) -> None:
        await self._send_text(text)
        self._quiet_until_s = self._parts.clock.steady() + HEARTBEAT_S

    @property
    def _dropped(self) -> int:
        return 0 if self._is_joining else self._events.dropped - self._dropped_in_history
