"""The limit of database sessions over all hubs: a session needs a slot, which Redis grants."""

from secrets import token_hex
from typing import Protocol

import anyio

from hub.cache.redis import REDIS_FAILURES
from hub.cache.slots import Renewal, Slots
from hub.oracle.admission import LaneBusy

_FIRST_POLL_S, _LONGEST_POLL_S = 0.01, 0.16


class SessionCap(Protocol):
    """Grants slots for sessions to the lanes."""

    async def acquire(self, lane: str, wait_s: float) -> str:
        """A token for one session, within `wait_s` seconds. Raises `LaneBusy`."""

    async def renew(self, token: str) -> bool:
        """Renew the slot; False when the session must be closed: its slot is lost, or other hubs wait for one."""

    async def release(self, token: str, after_s: float = 0.0) -> None:
        """Release the slot of a session that is closed, or will be in `after_s` seconds."""


class FleetCap:
    """`SessionCap` over Redis. Without Redis it grants nothing: the limit must hold."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    async def acquire(self, lane: str, wait_s: float) -> str:
        """Queue for a slot for up to `wait_s` seconds."""
        token = token_hex(16)
        granted = False
        poll_s = _FIRST_POLL_S
        try:
            with anyio.move_on_after(wait_s):
                while not (granted := await self._slots.try_acquire(token)):
                    await anyio.sleep(poll_s)
                    poll_s = min(2 * poll_s, _LONGEST_POLL_S)
        except REDIS_FAILURES as error:
            text = f"the session limit of all hubs is unavailable: Redis cannot be used ({type(error).__name__})"
            raise LaneBusy(lane, "FLEET", text, 5.0) from None
        finally:
            if not granted:
                await self.release(token)
        if not granted:
            text = f"all hubs together use their {self._slots.cap} sessions"
            raise LaneBusy(lane, "FLEET", text, max(1.0, wait_s / 2))
        return token

    async def renew(self, token: str) -> bool:
        """See `SessionCap`; one round trip to Redis."""
        try:
            return await self._slots.renew(token) is Renewal.KEPT
        except REDIS_FAILURES:
            return False

    async def release(self, token: str, after_s: float = 0.0) -> None:
        """See `SessionCap`; also when cancelled. A slot that cannot be released expires."""
        with anyio.move_on_after(1, shield=True):
            try:
                await self._slots.release(token, after_s)
            except REDIS_FAILURES:
                pass
