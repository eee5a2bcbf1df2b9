"""The share of all hubs together in the database: without a slot there is no session."""

from secrets import token_hex
from typing import Protocol

import anyio

from hub.cache.redis import REDIS_FAILURES
from hub.cache.slots import Renewal, Slots
from hub.oracle.admission import LaneBusy

_FIRST_LOOK_S, _LOOK_S = 0.01, 0.16


class SessionCap(Protocol):
    """What a lane asks before it opens a session."""

    async def acquire(self, lane: str, wait_s: float) -> str:
        """A token for one session. Raises `LaneBusy`."""

    async def may_go_on(self, token: str) -> bool:
        """Renews; False when the session must be closed: the slot is lost, or others wait for one."""

    async def release(self, token: str, after_s: float = 0.0) -> None:
        """The session is closed, or will be in `after_s` seconds."""


class FleetCap:
    """`SessionCap` over Redis. When Redis cannot be asked nobody gets in: a cap that lets go on caps nothing."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    async def acquire(self, lane: str, wait_s: float) -> str:
        """Waits in line for up to `wait_s` seconds."""
        token = token_hex(16)
        granted = False
        look_s = _FIRST_LOOK_S
        try:
            with anyio.move_on_after(wait_s):
                while not (granted := await self._slots.ask(token)):
                    await anyio.sleep(look_s)
                    look_s = min(2 * look_s, _LOOK_S)
        except REDIS_FAILURES as error:
            text = f"the limit over all hubs cannot be asked ({type(error).__name__})"
            raise LaneBusy(lane, "FLEET", text, 5.0) from None
        finally:
            if not granted:
                await self.release(token)
        if not granted:
            text = f"all hubs together use their {self._slots.cap} sessions"
            raise LaneBusy(lane, "FLEET", text, max(1.0, wait_s / 2))
        return token

    async def may_go_on(self, token: str) -> bool:
        """One question to Redis."""
        try:
            return await self._slots.renew(token) is Renewal.KEPT
        except REDIS_FAILURES:
            return False

    async def release(self, token: str, after_s: float = 0.0) -> None:
        """Whatever is cancelled; a slot that cannot be given back runs out by itself."""
        with anyio.move_on_after(1, shield=True):
            try:
                await self._slots.give_back(token, after_s)
            except REDIS_FAILURES:
                pass
