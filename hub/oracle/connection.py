"""One connection to Oracle through the thin driver: how it is opened, read and given up; what its errors mean."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import oracledb
from pydantic import SecretStr

Binds = Mapping[str, Any]


class Rows(NamedTuple):
    """A result: the column names as the database spells them, and one tuple per row in their order."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


Take = Callable[[Rows], Awaitable[bool]]
"""Takes a chunk of a result, and says whether it wants more; nothing is read from the database meanwhile."""


class Connection(Protocol):
    """What a lane needs of a connection."""

    async def fetch(self, sql: str, binds: Binds | None = None) -> Rows:
        """All rows of a query, or an `OracleError`; never a part of them."""

    async def close(self) -> None:
        """Log off. May raise an `OracleError`."""

    def terminate(self) -> None:
        """Drop the socket; a call at work then ends with an `OracleError` soon. Harmless when closed."""


class StreamingConnection(Connection, Protocol):
    """What the bulk lane needs of a connection."""

    async def stream(self, sql: str, binds: Binds, take: Take) -> tuple[str, ...]:
        """Hand the rows to `take` in chunks; returns the columns. May raise an `OracleError` after some of them."""

    @property
    def is_usable(self) -> bool:
        """False once it is known to be gone."""


Connect = Callable[[], Awaitable[Connection]]


class OracleError(Exception):
    """Something Oracle could not do. `code` is such as `ORA-00942`; the text carries no secret."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class OracleUnavailable(OracleError):
    """The database cannot be reached or went away: nothing is wrong with the statement."""


class OracleRejected(OracleError):
    """The database answered, and said no: credentials, rights, or the statement itself."""


class DeadlineExceeded(OracleUnavailable):
    """A stage took too long; `stage` is acquire, connect, query or call."""

    def __init__(self, stage: str, limit_s: float) -> None:
        super().__init__("DEADLINE", f"{stage} took longer than {limit_s:g} s")
        self.stage = stage


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to log on as, and where. `dsn` is `host:port/service`."""

    dsn: str
    user: str
    password: SecretStr
    program: str = "hub"  # what a DBA sees in v$session


CALL_TIMED_OUT = "DPY-4024"
UNAVAILABLE = frozenset(
    {
        *("DPY-1001", "DPY-4011", "DPY-6000", "DPY-6001", "DPY-6003", "DPY-6005"),
        *("ORA-00257", "ORA-01033", "ORA-01034", "ORA-01089", "ORA-03113", "ORA-03114", "ORA-03135"),
        *("ORA-12170", "ORA-12537", "ORA-12541", "ORA-12547", "ORA-12570", "ORA-02068"),
    }
)
"""Codes that mean the database, its listener or the far end of a database link is not there."""

_SAFE_AFTER_S = 0.25
"""How long a call that is given up may take to get to its next chunk."""

_CODE = re.compile(r"\b(?:ORA|DPY)-\d{4,5}\b")


def translate(error: oracledb.Error, call_s: float) -> OracleError:
    """The hub's error for one of the driver's; the innermost code, since the driver wraps the cause in its own."""
    detail = error.args[0] if error.args else None
    code = getattr(detail, "full_code", "") or "DPY-0000"
    text = getattr(detail, "message", None) or str(error)
    if code == CALL_TIMED_OUT:
        return DeadlineExceeded("call", call_s)
    first_line = text.split("\n", 1)[0].removeprefix(f"{code}: ")
    inner = _CODE.findall(text)[-1:] if code in UNAVAILABLE else []
    if code in UNAVAILABLE:
        return OracleUnavailable((inner or [code])[0], first_line)
    return OracleRejected(code, first_line)


class OracleConnection:
    """A `StreamingConnection` on the real driver; one call at a time."""

    def __init__(self, connection: oracledb.AsyncConnection, call_s: float, fetch_rows: int) -> None:
        self._connection = connection
        self._call_s = call_s
        self._fetch_rows = fetch_rows
        self._is_in_call = False
        self._is_given_up = False
        self._drop_later: asyncio.TimerHandle | None = None
        # On the driver's own object, and anew on each: a proxy or a pool would lose it.
        connection.call_timeout = round(call_s * 1000)

    async def fetch(self, sql: str, binds: Binds | None = None) -> Rows:
        """All rows; `call_s` bounds each round trip, so the whole still needs a deadline of its own."""
        found = Rows((), [])

        async def take(some: Rows) -> bool:
            nonlocal found
            found = Rows(some.columns, found.rows)
            found.rows.extend(some.rows)
            return True

        columns = await self.stream(sql, binds or {}, take)
        return Rows(columns, found.rows)

    async def stream(self, sql: str, binds: Binds, take: Take) -> tuple[str, ...]:
        """Hand the rows to `take`, `fetch_rows` at a time, while it wants more; returns the columns' names."""
        with self._calling(), self._connection.cursor() as cursor:
            cursor.arraysize = cursor.prefetchrows = self._fetch_rows
            await cursor.execute(sql, dict(binds))
            columns = tuple(column.name for column in cursor.description or ())
            while not self._is_given_up and (rows := await cursor.fetchmany(self._fetch_rows)):
                if not await take(Rows(columns, rows)):
                    break
        return columns

    @property
    def is_usable(self) -> bool:
        """False once the server or the network has closed it, as far as this side knows."""
        return not self._is_given_up and self._connection.is_healthy()

    async def close(self) -> None:
        """Log off, which also ends the transaction that a database link opened."""
        with self._calling():
            await self._connection.close()

    def terminate(self) -> None:
        """Drop the socket: at once, or while a call is at work, as soon as that is safe.

        A call whose data is just arriving would go on with a socket that is no more, and the driver then takes the
        process down with it. So a call is ended between two chunks. One that does not get there soon is waiting for
        the server, and the socket can be dropped under it.
        """
        self._is_given_up = True
        if self._is_in_call and self._drop_later is None:
            self._drop_later = asyncio.get_running_loop().call_later(_SAFE_AFTER_S, self._connection.terminate)
        elif not self._is_in_call:
            self._connection.terminate()

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """One call of the driver; its errors become the hub's, and it fails once it is given up."""
        self._is_in_call = True
        try:
            yield
        except oracledb.Error as error:
            raise translate(error, self._call_s) from None
        finally:
            self._is_in_call = False
            if self._drop_later is not None:
                self._drop_later.cancel()
            if self._is_given_up:
                self._connection.terminate()
        if self._is_given_up:
            raise OracleUnavailable("DPY-1001", "the connection was given up")


def connector(
    account: Account, call_s: float = 20.0, fetch_rows: int = 500, statements: int = 5
) -> Callable[[], Awaitable[OracleConnection]]:
    """Opens connections of an account, each with `call_s` seconds per round trip.

    The driver's connect time-out covers TCP alone, so the caller sets a deadline round the whole. `fetch_rows` come
    per round trip: the driver decodes them in one go on the loop, and 3,000 wide rows would hold it for 25 ms.
    `statements` are kept parsed.
    """

    async def connect() -> OracleConnection:
        try:
            opened = await oracledb.connect_async(
                account.dsn,
                user=account.user,
                password=account.password.get_secret_value(),
                program=account.program,
                tcp_connect_timeout=min(5.0, call_s),
                retry_count=0,
                expire_time=2,  # minutes between keep-alives
                stmtcachesize=statements,
            )
        except oracledb.Error as error:
            raise translate(error, call_s) from None
        return OracleConnection(opened, call_s, fetch_rows)

    return connect
