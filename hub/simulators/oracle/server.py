"""The listener and its sessions, as an async context manager."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from hub.simulators.oracle.answers import Answer, Binds, Handler, OraError
from hub.simulators.oracle.auth import Passwords
from hub.simulators.oracle.connection import Connection, Gone
from hub.simulators.oracle.faults import Counters, Faults, SlotQueue
from hub.simulators.oracle.plant import Plant
from hub.simulators.oracle.session import Session

NO_HANDLER = (12516, "TNS:listener could not find available handler with matching protocol stack")


class OracleServer:
    """`dsn` to connect to; `plant`, `faults` and `counters` to change and read while it runs."""

    def __init__(
        self,
        plant: Plant,
        users: Mapping[str, str],
        service: str,
        faults: Faults,
        handler: Handler | None,
        sdu: int,
    ) -> None:
        self.plant = plant
        self.passwords = Passwords(users)
        self.service = service
        self.faults = faults
        self.counters = Counters()
        self.sdu = sdu
        self.port = 0
        self.crashes: list[Exception] = []
        self._handler = handler
        self._sessions: set[Session] = set()
        self._session_slots = SlotQueue()
        self._executing_slots = SlotQueue()
        self._listener: asyncio.Server | None = None
        self._number = 0
        self._idle = asyncio.Event()

    @property
    def dsn(self) -> str:
        return f"127.0.0.1:{self.port}/{self.service}"

    @property
    def sessions(self) -> frozenset[Session]:
        """The connections that are open now."""
        return frozenset(self._sessions)

    @property
    def is_listening(self) -> bool:
        return self._listener is not None

    async def start_listening(self, port: int = 0) -> None:
        """Listen; after `stop_listening` on the same port as before."""
        if self._listener is None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._new_connection, "127.0.0.1", port or self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Refuse new TCP connections; those that are open stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def drop_sessions(self) -> None:
        """Cut every connection."""
        for session in self.sessions:
            session.abort()

    async def close(self) -> None:
        """Stop listening, cut every connection, wait for the sessions to end."""
        self.stop_listening()
        self.drop_sessions()
        while self._sessions:
            self._idle.clear()
            await self._idle.wait()

    def _new_connection(self) -> Connection:
        return Connection(self._live, self.counters, lambda: self.faults.ignore_break)

    async def _live(self, connection: Connection) -> None:
        """The life of a session. A fault of the server itself goes to `crashes`."""
        self._number += 1
        self.counters.connections += 1
        session = Session(self, connection, self._number)
        self._sessions.add(session)
        try:
            await self._serve(session)
        except (Gone, asyncio.CancelledError):
            pass
        except Exception as crash:  # noqa: BLE001 - any fault must reach the test, not only the log
            self.crashes.append(crash)
        finally:
            connection.close()
            self._sessions.discard(session)
            self._idle.set()

    async def _serve(self, session: Session) -> None:
        faults, counters = self.faults, self.counters
        if faults.connect == "silent":
            await asyncio.get_running_loop().create_future()
        service = await session.connect()
        self.apply_limits()
        is_over = self._session_slots.is_full
        if service.upper() != self.service.upper():
            return self._refuse(session, 12514, "TNS:listener does not currently know of service requested")
        if faults.connect == "refuse" or (is_over and faults.session_policy == "refuse"):
            return self._refuse(session, *NO_HANDLER)
        if is_over and faults.session_policy == "ora18":
            session.accept()
            await session.log_on(OraError(18, "maximum number of sessions exceeded"))
            counters.refused += 1
            return await session.run()
        counters.queued_sessions += is_over
        async with self._session_slots.slot():
            session.accept()
            if not await session.log_on():
                counters.failed_logins += 1
                return await session.run()
            counters.logins += 1
            counters.open_sessions += 1
            counters.peak_sessions = max(counters.peak_sessions, counters.open_sessions)
            try:
                await session.run()
            finally:
                counters.open_sessions -= 1
        return None

    def _refuse(self, session: Session, code: int, text: str) -> None:
        self.counters.refused += 1
        session.refuse(code, text)

    def apply_limits(self) -> None:
        """Make changed limits of `faults` count for those who wait already."""
        self._session_slots.set_limit(self.faults.session_limit)
        self._executing_slots.set_limit(self.faults.executing_limit)

    @asynccontextmanager
    async def executing(self) -> AsyncIterator[None]:
        """A place among the statements that execute."""
        self.apply_limits()
        async with self._executing_slots.slot():
            self.counters.executing += 1
            self.counters.peak_executing = max(self.counters.peak_executing, self.counters.executing)
            try:
                yield
            finally:
                self.counters.executing -= 1

    def answer(self, sql: str, binds: Binds, session: Session) -> Answer:
        """The handler's answer, else the plant's."""
        answer = self._handler(sql, binds, session) if self._handler else None
        return answer if answer is not None else self.plant.answer(sql, binds, session)


@asynccontextmanager
async def open_oracle(
    *,
    plant: Plant | None = None,
    users: Mapping[str, str] | None = None,
    service: str = "XEPDB1",
    session_limit: int | None = None,
    faults: Faults | None = None,
    handler: Handler | None = None,
    port: int = 0,
    sdu: int = 8192,
) -> AsyncIterator[OracleServer]:
    """A listening server on 127.0.0.1; the only user is reader/secret unless `users` says otherwise.

    Raises at the end what went wrong inside the server, as an ExceptionGroup.
    """
    faults = faults or Faults()
    if session_limit is not None:
        faults.session_limit = session_limit
    server = OracleServer(plant or Plant(), users or {"reader": "secret"}, service, faults, handler, sdu)
    await server.start_listening(port)
    try:
        yield server
    finally:
        await server.close()
    if server.crashes:
        raise ExceptionGroup("the Oracle server failed", server.crashes)
