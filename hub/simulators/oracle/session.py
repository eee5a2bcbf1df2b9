"""One session: connect, log on, then request by request until it logs off or breaks."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from hub.simulators.oracle import packets, replies, requests
from hub.simulators.oracle.answers import (
    Answer,
    Binds,
    Column,
    Delay,
    Done,
    Hang,
    OraError,
    ResultSet,
    Row,
    encode_row,
)
from hub.simulators.oracle.auth import Logon, welcome
from hub.simulators.oracle.connection import Connection
from hub.simulators.oracle.requests import BindType, Request
from hub.simulators.oracle.select_list import bind_names

if TYPE_CHECKING:
    from hub.simulators.oracle.server import OracleServer

STATEMENTS = (requests.EXECUTE, requests.REEXECUTE, requests.REEXECUTE_AND_FETCH, requests.FETCH)
BAD_LOGON = OraError(1017, "invalid credential or not authorized; logon denied")


def _no_rows() -> Iterator[Row]:
    return iter(())


@dataclass(slots=True)
class Cursor:
    """A parsed statement and what is left of its rows."""

    id: int
    sql: str
    names: tuple[str, ...]
    bind_types: tuple[BindType, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: Iterator[Row] = field(default_factory=_no_rows)
    delivered: int = 0


class Session:
    """The state of one session. `attributes`: what the client says of itself (AUTH_PROGRAM_NM, module, action)."""

    def __init__(self, server: "OracleServer", connection: Connection, number: int) -> None:
        self.server = server
        self.number = number
        self.user = ""
        self.attributes: dict[str, str] = {}
        self.in_transaction = False
        self._connection = connection
        self._cursors: dict[int, Cursor] = {}
        self._last_cursor = 0

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._connection.abort()

    def close(self) -> None:
        self._connection.close()

    async def connect(self) -> str:
        """Read the CONNECT packet; returns the service's name."""
        body = (await self._connection.packet()).body
        length, offset = int.from_bytes(body[16:18], "big"), int.from_bytes(body[18:20], "big")
        self._connection.sdu = min(self.server.sdu, int.from_bytes(body[50:54], "big") or self.server.sdu)
        # a long connect string comes in a packet of its own
        text = body[offset - packets.HEADER :] or (await self._connection.packet()).body
        found = re.search(rb"SERVICE_NAME=([^)]*)\)", text[:length], re.IGNORECASE)
        return found.group(1).decode() if found else ""

    def accept(self) -> None:
        self._connection.accept()

    def refuse(self, code: int, text: str) -> None:
        """Say no as the listener does, and close."""
        self._connection.refuse(code, text)

    async def log_on(self, denial: OraError | None = None) -> bool:
        """Both phases of the authentication; `denial` is what phase two answers instead of a welcome."""
        first = await self._connection.request(self._bind_types)
        logon = Logon(self.server.passwords, first.user)
        offer = replies.parameters(logon.challenge())
        self._connection.reply(replies.negotiation() + offer + replies.status())
        second = await self._connection.request(self._bind_types)
        proof = logon.proof(second.pairs)
        if proof is None or denial is not None:
            self._connection.fail(denial or BAD_LOGON)
            return False
        self.user = first.user
        secret = ("AUTH_SESSKEY", "AUTH_PASSWORD", "AUTH_PBKDF2_SPEEDY_KEY")
        told = first.pairs | second.pairs
        self.attributes |= {key: value.rstrip("\0") for key, value in told.items() if key not in secret}
        greeting = replies.parameters(welcome(proof, self.number, self.server.service))
        self._connection.reply(greeting + replies.status())
        return True

    async def run(self) -> None:
        """Serve requests until the client logs off or goes away."""
        while True:
            try:
                request = await self._connection.request(self._bind_types)
            except requests.UnknownRequest as unknown:
                self._connection.fail(OraError(3115, f"unsupported network datatype or representation ({unknown})"))
                continue
            self.attributes |= request.attributes
            for closed in request.closed_cursors:
                self.server.counters.cursors_closed += self._cursors.pop(closed, None) is not None
            if request.function in STATEMENTS:
                with self._connection.interruptible():
                    await self._serve_statement(request)
            else:
                self._serve_call(request)

    def _bind_types(self, cursor: int) -> tuple[BindType, ...]:
        return self._cursors[cursor].bind_types

    def _serve_call(self, request: Request) -> None:
        counters = self.server.counters
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
        self._connection.reply(replies.status(in_transaction=self.in_transaction))

    async def _serve_statement(self, request: Request) -> None:
        try:
            if request.function == requests.FETCH:
                await self._fetch(self._cursors[request.cursor], request.count)
            else:
                await self._execute(request)
        except OraError as error:
            self._connection.fail(error)

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
            self._finish(cursor, answer)
            return
        self.in_transaction = self.in_transaction or answer.transaction
        columns = tuple(answer.columns)
        described = replies.describe(columns) if columns != cursor.columns else b""
        cursor.columns, cursor.rows, cursor.delivered = columns, iter(answer.rows), 0
        is_prefetch = request.options & requests.FETCH_OPTION or request.function == requests.REEXECUTE_AND_FETCH
        self._deliver(cursor, request.count if is_prefetch else 0, described)

    def _finish(self, cursor: Cursor, done: Done) -> None:
        self.in_transaction = done.transaction
        self._connection.reply(
            replies.outcome(None, cursor=cursor.id, rowcount=done.rowcount, in_transaction=self.in_transaction)
        )

    async def _answer(self, cursor: Cursor, binds: Binds) -> ResultSet | Done:
        faults = self.server.faults
        if error := faults.error(cursor.sql):
            raise error
        if faults.is_hanging(cursor.sql):
            await _for_ever()
        await _sleep(faults.service_seconds(cursor.sql))
        answer: Answer = self.server.answer(cursor.sql, binds, self)
        while isinstance(answer, Delay):
            await _sleep(answer.seconds)
            answer = answer.then
        if isinstance(answer, Hang):
            await _for_ever()
        if isinstance(answer, OraError):
            raise answer
        assert isinstance(answer, ResultSet | Done)
        return answer

    async def _fetch(self, cursor: Cursor, count: int) -> None:
        faults = self.server.faults
        self.server.counters.fetches += 1
        if faults.hang_fetch:
            await _for_ever()
        await _sleep(faults.fetch_s * faults.scale)
        self._deliver(cursor, count)

    def _deliver(self, cursor: Cursor, count: int, head: bytes = b"") -> None:
        """Send the next `count` rows; fewer than that are the last."""
        encoders = [column.encoder() for column in cursor.columns]
        rows = [row if isinstance(row, bytes) else encode_row(encoders, row) for row in islice(cursor.rows, count)]
        cursor.delivered += len(rows)
        header = replies.row_header(len(cursor.columns)) if rows else b""
        end = replies.outcome(
            replies.NO_DATA if len(rows) < count else None,
            cursor=cursor.id,
            rowcount=cursor.delivered,
            in_transaction=self.in_transaction,
        )
        payload = b"".join((head, header, *rows, end))
        limit = self.server.faults.drop_after_rows
        if limit is not None and cursor.delivered > limit:
            self._connection.drop(payload)
        self.server.counters.rows += len(rows)
        self._connection.reply(payload)


async def _sleep(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()
