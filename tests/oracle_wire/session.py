"""One client connection: connect, log on, then request by request until it logs off or breaks."""

import asyncio
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from tests.oracle_wire import packets, replies, requests
from tests.oracle_wire.answers import Answer, Binds, Column, Delay, Done, Hang, OraError, ResultSet, Row, encode_row
from tests.oracle_wire.auth import Logon, welcome
from tests.oracle_wire.encoding import Incomplete
from tests.oracle_wire.packets import Packet
from tests.oracle_wire.requests import BindType, Request
from tests.oracle_wire.select_list import bind_names

if TYPE_CHECKING:
    from tests.oracle_wire.server import OracleServer

SDU = 8192


class Gone(Exception):
    """The client has closed, or was cut off."""


@dataclass(slots=True)
class Cursor:
    """A parsed statement and what is left of its rows."""

    id: int
    sql: str
    names: tuple[str, ...]
    bind_types: tuple[BindType, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: Iterator[Row] = iter(())
    delivered: int = 0


class Session(asyncio.Protocol):
    """The state of one connection. `attributes` holds what the client says of itself: program, module, action, ..."""

    def __init__(self, server: "OracleServer", number: int) -> None:
        self.server = server
        self.number = number
        self.user = ""
        self.attributes: dict[str, str] = {}
        self.in_transaction = False
        self._framer = packets.Framer()
        self._inbox: deque[Packet] = deque()
        self._arrived = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._sdu = SDU
        self._cursors: dict[int, Cursor] = {}
        self._last_cursor = 0
        self._executing = False
        self._broken = False
        self._pending = replies.CANCELLED

    # -- the socket ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._task = asyncio.get_running_loop().create_task(self.server.serve(self), name=f"session {self.number}")

    def data_received(self, data: bytes) -> None:
        for packet in self._framer.feed(data):
            if packet.kind == packets.MARKER:
                self._on_marker(packet.body[2])
            else:
                self._inbox.append(packet)
                self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._arrived.set()
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """Cut the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _send_marker(self, kind: int) -> None:
        self._send(self._framer.packet(packets.MARKER, packets.marker(kind)))

    def _reply(self, payload: bytes) -> None:
        self._send(b"".join(packets.answer_packets(payload + replies.END, self._sdu)))

    def _on_marker(self, kind: int) -> None:
        """A break ends the statement that executes; a reset is answered with a reset and the error."""
        if kind != packets.RESET:
            self.server.counters.breaks += 1
        if self._executing and not self._broken and self.server.faults.ignore_break:
            return
        if kind == packets.RESET:
            self._send_marker(packets.RESET)
            self._reply(replies.outcome(self._pending))
            self._pending = replies.CANCELLED
        elif self._executing and not self._broken and self._task is not None:
            self._broken = True
            self._task.cancel()
            self._send_marker(packets.BREAK)

    async def _packet(self) -> Packet:
        while not self._inbox:
            if self._transport is None:
                raise Gone
            self._arrived.clear()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def _request(self, *, tokens: bool = True) -> Request:
        data = b""
        while True:
            packet = await self._packet()
            if packet.data_flags & packets.END_OF_FILE:
                raise Gone
            data += packet.body
            if self._inbox:
                continue
            try:
                return requests.parse_request(data, self._bind_types, tokens=tokens)
            except Incomplete:
                continue

    def _bind_types(self, cursor: int) -> tuple[BindType, ...]:
        return self._cursors[cursor].bind_types

    # -- connect and log on ----------------------------------------------------------------------------------

    async def connect(self) -> str:
        """Read the CONNECT packet; returns the service's name."""
        body = (await self._packet()).body
        length, offset = int.from_bytes(body[16:18], "big"), int.from_bytes(body[18:20], "big")
        self._sdu = min(self.server.sdu, int.from_bytes(body[50:54], "big") or SDU)
        text = body[offset - packets.HEADER :] or (await self._packet()).body
        found = re.search(rb"SERVICE_NAME=([^)]*)\)", text[:length], re.IGNORECASE)
        return found.group(1).decode() if found else ""

    def accept(self) -> None:
        self._send(self._framer.packet(packets.ACCEPT, packets.accept(self._sdu)))
        self._framer.wide = True

    def refuse(self, code: int, text: str) -> None:
        """Say no as the listener does, and close."""
        self._send(self._framer.packet(packets.REFUSE, packets.refusal(code, text)))
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def log_on(self, denial: OraError | None = None) -> bool:
        """Both phases of the authentication; `denial` is what phase two answers instead of a welcome."""
        first = await self._request()
        logon = Logon(self.server.passwords, first.user)
        self.attributes |= first.pairs
        self._reply(replies.negotiation() + replies.parameters(logon.challenge()) + replies.status())
        second = await self._request()
        proof = logon.proof(second.pairs)
        if proof is None or denial is not None:
            self.fail(denial or OraError(1017, "invalid credential or not authorized; logon denied"))
            return False
        self.user = first.user
        self.attributes |= {
            key: value.rstrip("\0")
            for key, value in second.pairs.items()
            if key not in ("AUTH_SESSKEY", "AUTH_PASSWORD")
        }
        self._reply(replies.parameters(welcome(proof, self.number, self.server.service)) + replies.status())
        return True

    def fail(self, error: OraError) -> None:
        """Break first; the error follows when the client has reset."""
        self.server.counters.errors += 1
        self._pending = error
        self._send_marker(packets.BREAK)

    # -- requests --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve requests until the client logs off or goes away."""
        while True:
            try:
                request = await self._request()
            except requests.UnknownRequest as unknown:
                self.fail(OraError(3115, f"unsupported network datatype or representation ({unknown})"))
                continue
            self.attributes |= request.attributes
            for closed in request.closed_cursors:
                self.server.counters.cursors_closed += self._cursors.pop(closed, None) is not None
            await self._serve(request)

    async def _serve(self, request: Request) -> None:
        counters = self.server.counters
        if request.function in (requests.EXECUTE, requests.REEXECUTE, requests.REEXECUTE_AND_FETCH, requests.FETCH):
            await self._interruptible(request)
            return
        if request.function == requests.COMMIT:
            counters.commits += 1
            self.in_transaction = False
        elif request.function == requests.ROLLBACK:
            counters.rollbacks += 1
            self.in_transaction = False
        elif request.function == requests.PING:
            counters.pings += 1
        elif request.function == requests.LOGOFF:
            counters.logoffs += 1
        self._reply(replies.status(in_transaction=self.in_transaction))

    async def _interruptible(self, request: Request) -> None:
        """Run a statement or fetch; a break from the client cancels this task, which goes on with the next request."""
        task = asyncio.current_task()
        assert task is not None
        self._executing = True
        try:
            if request.function == requests.FETCH:
                await self._fetch(self._cursors[request.cursor], request.count)
            else:
                await self._execute(request)
        except OraError as error:
            self.fail(error)
        except asyncio.CancelledError:
            self.server.counters.aborted += 1
            if not self._broken:
                raise
            task.uncancel()
        finally:
            self._executing = self._broken = False

    async def _execute(self, request: Request) -> None:
        if request.sql is not None:
            self._last_cursor += 1
            cursor = Cursor(self._last_cursor, request.sql, bind_names(request.sql))
        else:
            cursor = self._cursors[request.cursor]
            self.server.counters.reexecutes += 1
        cursor.bind_types = request.bind_types
        self.server.counters.statements[cursor.sql] += 1
        async with self.server.executing():
            answer = await self._answer(cursor, Binds(cursor.names, request.bind_rows))
        self._cursors[cursor.id] = cursor
        if isinstance(answer, Done):
            self.in_transaction = answer.transaction
            self._reply(
                replies.outcome(
                    None, cursor=cursor.id, rowcount=answer.rowcount, in_transaction=self.in_transaction
                )
            )
            return
        self.in_transaction = self.in_transaction or answer.transaction
        columns = tuple(answer.columns)
        described = replies.describe(columns) if columns != cursor.columns else b""
        cursor.columns, cursor.rows, cursor.delivered = columns, iter(answer.rows), 0
        wanted = request.count if request.options & requests.FETCH_OPTION or request.sql is None else 0
        self._deliver(cursor, wanted, described)

    async def _answer(self, cursor: Cursor, binds: Binds) -> ResultSet | Done:
        faults = self.server.faults
        if error := faults.error(cursor.sql):
            raise error
        if faults.is_hanging(cursor.sql):
            await asyncio.get_running_loop().create_future()
        await self._sleep(faults.service_seconds(cursor.sql))
        answer: Answer = self.server.answer(cursor.sql, binds, self)
        while isinstance(answer, Delay):
            await self._sleep(answer.seconds)
            answer = answer.then
        if isinstance(answer, Hang):
            await asyncio.get_running_loop().create_future()
        if isinstance(answer, OraError):
            raise answer
        assert isinstance(answer, ResultSet | Done)
        return answer

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def _fetch(self, cursor: Cursor, count: int) -> None:
        self.server.counters.fetches += 1
        if self.server.faults.hang_fetch:
            await asyncio.get_running_loop().create_future()
        await self._sleep(self.server.faults.fetch_s * self.server.faults.scale)
        self._deliver(cursor, count)

    def _deliver(self, cursor: Cursor, count: int, head: bytes = b"") -> None:
        """Send the next `count` rows; fewer than that are the last."""
        encoders = [column.encoder() for column in cursor.columns]
        rows = [row if isinstance(row, bytes) else encode_row(encoders, row) for row in islice(cursor.rows, count)]
        cursor.delivered += len(rows)
        end = replies.NO_DATA if len(rows) < count else None
        payload = b"".join(
            (head, replies.row_header(len(cursor.columns)) if rows else b"", *rows)
        ) + replies.outcome(end, cursor=cursor.id, rowcount=cursor.delivered, in_transaction=self.in_transaction)
        limit = self.server.faults.drop_after_rows
        if limit is not None and cursor.delivered > limit:
            self._drop(payload)
        self.server.counters.rows += len(rows)
        self._reply(payload)

    def _drop(self, payload: bytes) -> None:
        """Send the first half of an answer, then close."""
        self.server.counters.dropped += 1
        parts = packets.answer_packets(payload + replies.END, self._sdu)
        self._send(b"".join(parts[: len(parts) // 2]))
        self.close()
        raise Gone
