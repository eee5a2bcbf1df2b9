"""The live stream of one unit: its frames as they come, joined to its history for those who come back."""

import anyio
from fastapi import APIRouter, WebSocket
from sqlalchemy.exc import SQLAlchemyError

from hub.database.lane import LaneFull
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
_COMMIT_LOOK_S = 0.2
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
    """Frames of one unit: first the last known one, then each as it comes.

    `after` is the last sequence number the viewer has: instead of the last known frame it gets all since.
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
    """What one viewer has seen of one unit."""

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
        self._seen = 0  # sequence numbers up to this one need not be sent
        self._is_joining = False
        self._made_up_for = 0  # drops that the history replaced
        self._quiet_until_s = parts.clock.steady() + HEARTBEAT_S

    async def run(self, after: int | None) -> None:
        """Send until the viewer leaves or the unit does."""
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
                await self._tell(event)

    async def _tell(self, event: Event) -> None:
        if isinstance(event, Snapshot):
            if event.sequence > self._seen:
                await self._send_snapshot(event)
        elif isinstance(event, StateChange) and event.what in _SHOWN_CHANGES and event.new != "reachable":
            await self._send_state()

    async def _join_history(self, after: int) -> None:
        """Everything above `after` from SQL, until nothing lies between it and what waits in the subscription."""
        latest = self._unit.latest
        self._seen = after if latest is None else min(after, latest.sequence)
        self._is_joining = True
        while self._is_joining:
            self._events.drain_nowait()
            self._made_up_for = self._events.dropped
            latest = self._unit.latest
            await self._send_history(0 if latest is None else latest.sequence)
            self._is_joining = self._events.dropped != self._made_up_for
        if self._unit.frame()["feed_status"] != "ok":
            await self._send_state()

    async def _send_history(self, until: int) -> None:
        """What SQL has above `_seen`; `until` is published, so it is waited for if it is not committed yet."""
        waited_s = 0.0
        while True:
            seen = self._seen
            try:
                page = await self._parts.database.query(lambda s: readings_after(s, self._unit.id, seen, _PAGE))  # noqa: B023
            except (SQLAlchemyError, LaneFull):
                raise StreamEnd(TRY_LATER, "the history cannot be read now; connect again later") from None
            for snapshot in page:
                await self._send_snapshot(snapshot)
                self._seen = snapshot.sequence
            if len(page) == _PAGE:
                continue
            if self._seen >= until:
                return
            if waited_s > _COMMIT_WAIT_S:
                raise StreamEnd(TRY_LATER, "the latest readings are not stored yet; connect again later")
            await anyio.sleep(_COMMIT_LOOK_S)
            waited_s += _COMMIT_LOOK_S

    async def _send_snapshot(self, snapshot: Snapshot) -> None:
        await self._send(self._texts.of_snapshot(snapshot, self._dropped, self._with_raw))

    async def _send_state(self) -> None:
        await self._send(self._texts.of_unit(self._unit, self._dropped, self._with_raw))

    async def _send(self, text: str) -> None:
        await self._send_text(text)
        self._quiet_until_s = self._parts.clock.steady() + HEARTBEAT_S

    @property
    def _dropped(self) -> int:
        return 0 if self._is_joining else self._events.dropped - self._made_up_for
