"""Whether an account may log on now: after a refusal every lane waits, since ten wrong logons lock an account."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import anyio

from hub.oracle.admission import LaneBusy
from hub.oracle.connection import Account, OracleRejected
from hub.oracle.words import words_for

T = TypeVar("T")

DENIALS = frozenset(
    {
        *("ORA-01005", "ORA-01017", "ORA-01031", "ORA-01045", "ORA-28000", "ORA-28001", "ORA-28003", "ORA-28007"),
        *("ORA-28009", "ORA-28011", "ORA-28030", "ORA-28040", "ORA-28041", "ORA-28046", "ORA-28047", "ORA-28221"),
    }
)
"""Codes of a refused logon: the same account will be refused again until a person has changed something."""

LEAST_S = 60.0
MOST_S = 86_400.0


class LogonDenied(LaneBusy):
    """The database refuses the account; nobody logs on with it for another `retry_after_s` seconds."""


class Logon:
    """The logons of one account, from every lane that uses it.

    After a refusal nobody tries for `pause_s` seconds, twice as long after each further one, a day at most. Until a
    logon has succeeded one lane tries at a time, so that a wrong password costs one logon and not one per lane.
    """

    def __init__(self, user: str, pause_s: float, now: Callable[[], float] = anyio.current_time) -> None:
        self.denials = 0  # in a row
        self._user = user
        self._pause_s = max(LEAST_S, pause_s)
        self._now = now
        self._is_good = False
        self._until = float("-inf")
        self._code = ""
        self._turn = anyio.Lock()

    def through(self, connect: Callable[[], Awaitable[T]], lane: str) -> Callable[[], Coroutine[Any, Any, T]]:
        """The same `connect`, which raises `LogonDenied` when the account is refused, and while it waits."""

        async def logged_on() -> T:
            if self._is_good:
                return await self._try(connect, lane)
            async with self._turn:
                return await self._try(connect, lane)

        return logged_on

    def allow_one(self) -> None:
        """A person asks for one logon now; should it be refused, the wait is longer again."""
        self._until = float("-inf")

    async def _try(self, connect: Callable[[], Awaitable[T]], lane: str) -> T:
        if self._now() < self._until:
            raise self._denied(lane)
        try:
            opened = await connect()
        except OracleRejected as error:
            if error.code not in DENIALS:
                raise
            self._note(error.code)
            raise self._denied(lane) from None
        self._is_good, self.denials = True, 0
        return opened

    def _note(self, code: str) -> None:
        self._is_good, self._code = False, code
        if self._now() < self._until:
            return  # of several logons in flight the first has counted
        self.denials += 1
        self._until = self._now() + min(MOST_S, self._pause_s * 2.0 ** min(self.denials - 1, 20))

    def _denied(self, lane: str) -> LogonDenied:
        text = f"the database refuses user {self._user}: {words_for(self._code)}"
        return LogonDenied(lane, self._code, text, max(1.0, self._until - self._now()))


class Logons:
    """One `Logon` per account, for as long as somebody uses it; another password makes another account."""

    def __init__(self) -> None:
        self._logons: WeakValueDictionary[tuple[str, str, str], Logon] = WeakValueDictionary()

    def of(self, account: Account, pause_s: float) -> Logon:
        """The one that every lane to this account shares. `pause_s` counts for the first who asks."""
        key = (account.dsn, account.user.upper(), account.password.get_secret_value())
        logon = self._logons.get(key)
        if logon is None:
            logon = self._logons[key] = Logon(account.user, pause_s)
        return logon
