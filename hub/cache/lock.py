"""A lock between processes in Redis, with a generation number for each holder.

- The lock expires `ttl_s` after its last renewal, so that a killed holder blocks the others only that long.
- Only the holder's token renews or releases it, so a late release never frees the lock of another holder.
- Generations only rise, even after Redis was emptied: each is at least the clock of Redis in milliseconds.

    free ──acquire──> held ──renewed every ttl_s / 3──> held ──release or expiry──> free
    held ──not renewed in time──> the lease is lost: another process may hold the lock
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex

import anyio

from hub.cache.redis import REDIS_FAILURES, RedisClients

ACQUIRE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {0, now, redis.call('PTTL', KEYS[1])}
end
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local generation = math.max(last + 1, tonumber(ARGV[3]) + 1, now)
redis.call('SET', KEYS[2], string.format('%.0f', generation))
return {generation, now, 0}
"""

RENEW = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(slots=True)
class Lease:
    """The lock while this process holds it. `at_ms` is the clock of Redis at the acquisition, in milliseconds."""

    generation: int
    at_ms: int
    is_lost: bool = False  # it expired before it could be renewed: another process may hold the lock


@dataclass(frozen=True, slots=True)
class LockHeld:
    """Another process holds the lock; it expires in `remaining_s` seconds unless it is renewed."""

    remaining_s: float


class Lock:
    """`async with lock.hold() as lease`: a `Lease`, or `LockHeld`. Redis failures are raised."""

    def __init__(self, redis: RedisClients, name: str, ttl_s: float) -> None:
        self.ttl_s = ttl_s
        self._keys = [redis.key("lock", name), redis.key("lock", name, "generation")]
        self._acquire = redis.commands.register_script(ACQUIRE)
        self._renew = redis.commands.register_script(RENEW)
        self._release = redis.commands.register_script(RELEASE)

    @asynccontextmanager
    async def hold(self, above: int = 0) -> AsyncIterator[Lease | LockHeld]:
        """Acquire the lock without waiting, and renew it while the block runs; its generation exceeds `above`."""
        token = token_hex(16)
        ttl_ms = round(self.ttl_s * 1000)
        generation, at_ms, left_ms = await self._acquire(keys=self._keys, args=[token, ttl_ms, above])
        if not generation:
            yield LockHeld(max(0, left_ms) / 1000)
            return
        lease = Lease(generation, at_ms)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._renew_periodically, token, ttl_ms, lease)
                yield lease
                tasks.cancel_scope.cancel()
        finally:
            await self._release_lock(token)

    async def _renew_periodically(self, token: str, ttl_ms: int, lease: Lease) -> None:
        sure_until = anyio.current_time() + self.ttl_s
        while not lease.is_lost:
            await anyio.sleep(self.ttl_s / 3)
            asked_at = anyio.current_time()
            try:
                renewed = await self._renew(keys=self._keys[:1], args=[token, ttl_ms])
            except REDIS_FAILURES:
                lease.is_lost = anyio.current_time() >= sure_until
                continue
            lease.is_lost = not renewed
            sure_until = asked_at + self.ttl_s

    async def _release_lock(self, token: str) -> None:
        with anyio.move_on_after(1, shield=True):
            try:
                await self._release(keys=self._keys[:1], args=[token])
            except REDIS_FAILURES:
                pass  # it expires
