"""Limits the logons of an account: after a refusal every lane waits, because ten wrong logons lock an account."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import anyio

from hub.oracle.admission import LaneBusy
from hub.oracle.connection import Account, OracleRejected
from hub.oracle.messages import message_for

T = TypeVar("T")

DENIALS = frozenset(
    {
        *("ORA-01005", "ORA-01017", "ORA-01031", "ORA-01045", "ORA-28000", "ORA-28001", "ORA-28003", "ORA-28007"),
        *("ORA-28009", "ORA-28011", "ORA-28030", "ORA-28040", "ORA-28041", "ORA-28046", "ORA-28047", "ORA-28221"),
    }
)
"""Codes of a refused logon: the account will be refused until a person has changed something."""

MIN_PAUSE_S = 60.0
MAX_PAUSE_S = 86_400.0


class LogonDenied(LaneBusy):
    """The database refuses the account; no lane logs on with it for another `retry_after_s` seconds."""


class Logon:
    """The logons of one account, shared by all lanes that use it.

    After a refusal no lane tries for `pause_s` seconds, twice as long after each further one, a day at most. Until
    a logon has succeeded one lane tries at a time, so that a wrong password costs one logon and not one per lane.
    """

    def __init__(self, user: str, pause_s: float, now: Callable[[], float] = anyio.current_time) -> None:
        self.denials = 0  # in a row
        self._user = user
        self._pause_s = max(MIN_PAUSE_S, pause_s)
        self._now = now
        self._is_good = False
        self._until = float("-inf")
        self._code = ""
        self._turn = anyio.Lock()

    def through(self, connect: Callable[[], Awaitable[T]], lane: str) -> Callable[[], Coroutine[Any, Any, T]]:
        """A `connect` that raises `LogonDenied` when the account is refused, and while it must wait."""

        async def logged_on() -> T:
            if self._is_good:
                return await self._try(connect, lane)
            async with self._turn:
                return await self._try(connect, lane)

        return logged_on

    def allow_one(self) -> None:
        """Allow one logon now, because a person asked for it; a refusal makes the next wait longer."""
        self._until = float("-inf")

    async def _try(self, connect: Callable[[], Awaitable[T]], lane: str) -> T:
        if self._now() < self._until:
            raise self._denied(lane)
        try:
            opened = await connect()
        except OracleRejected as error:
            if error.code not in DENIALS:
                raise
            self._count_denial(error.code)
            raise self._denied(lane) from None
        self._is_good, self.denials = True, 0
        return opened

    def _count_denial(self, code: str) -> None:
        self._is_good, self._code = False, code
        if self._now() < self._until:
            return  # the first of several concurrent refusals has been counted
        self.denials += 1
        self._until = self._now() + min(MAX_PAUSE_S, self._pause_s * 2.0 ** min(self.denials - 1, 20))

    def _denied(self, lane: str) -> LogonDenied:
        text = f"the database refuses user {self._user}: {message_for(self._code)}"
        return LogonDenied(lane, self._code, text, max(1.0, self._until - self._now()))


class Logons:
    """One `Logon` per account, as long as a lane uses it; another password counts as another account."""

    def __init__(self) -> None:
        self._logons: WeakValueDictionary[tuple[str, str, str], Logon] = WeakValueDictionary()

    def of(self, account: Account, pause_s: float) -> Logon:
        """The `Logon` that all lanes of this account share; `pause_s` is used only when it is created."""
        key = (account.dsn, account.user.upper(), account.password.get_secret_value())
        logon = self._logons.get(key)
        if logon is None:
            logon = self._logons[key] = Logon(account.user, pause_s)
        return logon
