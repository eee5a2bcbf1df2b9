"""The bulk lane: a few sessions for long reads, reused between batches, within the limits of lane and fleet.

- A session holds a slot of the fleet cap from before its logon until its socket is closed.
- An idle session is used again only after its slot was renewed; when another hub waits for it, it is closed.
- After an error or a cancellation a session is never reused: its socket is dropped.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from hub.oracle.admission import Admission
from hub.oracle.breaker import Breaker
from hub.oracle.connection import Binds, FetchMode, RowSink, StreamingConnection
from hub.oracle.deadline import call_with_deadline
from hub.oracle.fleet_cap import SessionCap
from hub.oracle.lanes import Deadlines, LaneCounters, connected, drop, log_off

BULK = Deadlines(acquire_s=60.0, connect_s=10.0, query_s=60.0, close_s=2.0)
"""`query_s` is for one whole batch, with its logon."""

_SERVER_NOTICE_S = 2.0
"""Seconds within which the server notices that the socket of a session was dropped."""


@dataclass(slots=True)
class _Session:
    connection: StreamingConnection | None
    token: str | None
    idle_since: float = 0.0


class BulkLane:
    """Runs `sessions` statements at once. `run` closes sessions that were idle for `idle_s` seconds."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[StreamingConnection]],
        sessions: int = 4,
        deadlines: Deadlines = BULK,
        *,
        name: str = "bulk",
        waiters: int = 32,
        cap: SessionCap | None = None,
        breaker: Breaker | None = None,
        idle_s: float = 1.0,
    ) -> None:
        self.name = name
        self.counters = LaneCounters()
        self.breaker = breaker or Breaker(name)
        self.admission = Admission(name, sessions, waiters, deadlines.acquire_s)
        self._connect = connect
        self._deadlines = deadlines
        self._cap = cap
        self._idle_s = idle_s
        self._idle: deque[_Session] = deque()

    @property
    def is_capped(self) -> bool:
        """True when the lane shares a limit of sessions with all hubs."""
        return self._cap is not None

    async def read(self, sql: str, binds: Binds, sink: RowSink, mode: FetchMode = FetchMode.PLAIN) -> None:
        """Pass the rows to `sink` in chunks. Raises `OracleError`; `LaneBusy` before anything was sent.

        After a `DriverFailed` read again from the start with a more careful `mode`.
        """
        self.breaker.check()
        async with self.admission.slot():
            session = await self._obtain()
            try:
                with self.breaker.guard():
                    await self._read(session, sql, binds, sink, mode)
            except BaseException:
                await self._discard(session)
                raise
            await self._release(session)

    async def run(self) -> None:
        """Close idle sessions until cancelled, then all of them."""
        try:
            while True:
                await anyio.sleep(self._idle_s / 2)
                before = anyio.current_time() - self._idle_s
                while self._idle and self._idle[0].idle_since < before:
                    await self._close(self._idle.popleft())
        finally:
            with anyio.move_on_after(self._deadlines.close_s, shield=True):
                await self.close_idle()

    async def close_idle(self) -> None:
        """Close every idle session."""
        while self._idle:
            await self._close(self._idle.popleft())

    async def _obtain(self) -> _Session:
        """An idle session whose slot was renewed, else a slot for a new one."""
        while self._idle:
            session = self._idle.pop()
            assert session.connection is not None
            if session.connection.is_usable and await self._renew_slot(session):
                return session
            await self._close(session)
        token = await self._cap.acquire(self.name, self._deadlines.acquire_s) if self._cap else None
        return _Session(None, token)

    async def _release(self, session: _Session) -> None:
        """Make the session idle for the next batch; close it when another hub waits for its slot."""
        if await self._renew_slot(session):
            session.idle_since = anyio.current_time()
            self._idle.append(session)
        else:
            await self._close(session)

    async def _renew_slot(self, session: _Session) -> bool:
        if self._cap is None or session.token is None:
            return True
        try:
            return await self._cap.renew(session.token)
        except BaseException:
            await self._discard(session)
            raise

    async def _read(self, session: _Session, sql: str, binds: Binds, sink: RowSink, mode: FetchMode) -> None:
        limits = self._deadlines
        until = anyio.current_time() + limits.query_s
        if session.connection is None:
            session.connection = await connected(self._connect, limits.connect_s, self.counters)
        connection = session.connection
        left_s = until - anyio.current_time()
        await call_with_deadline(connection, "query", left_s, lambda: connection.stream(sql, binds, sink, mode))

    async def _discard(self, session: _Session) -> None:
        if session.connection is not None:
            drop(session.connection, self.counters)
        if self._cap is not None and session.token is not None:
            await self._cap.release(session.token, _SERVER_NOTICE_S if session.connection else 0.0)

    async def _close(self, session: _Session) -> None:
        assert session.connection is not None
        await log_off(session.connection, self._deadlines.close_s, self.counters)
        if self._cap is not None and session.token is not None:
            await self._cap.release(session.token)
