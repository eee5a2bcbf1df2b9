"""A limit over all processes through Redis: at most `cap` tokens hold a slot, granted in order of arrival.

- A slot that is not renewed for `hold_s` seconds is free again; a waiter that does not retry for `forget_s` leaves
  the queue. So a killed process blocks nobody for long.
- With n free slots only the first n tokens in the queue are granted one.

    unknown ──try_acquire──> waiting ──try_acquire, a slot is free──> holds ──release or expiry──> unknown
"""

from dataclasses import dataclass
from enum import IntEnum

from hub.cache.redis import RedisClients

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
"""

ACQUIRE = (
    _NOW
    + """
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[4])) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
redis.call('ZADD', KEYS[2], 'NX', now, ARGV[1])
redis.call('ZADD', KEYS[3], now, ARGV[1])
local granted = redis.call('ZRANK', KEYS[2], ARGV[1]) < ARGV[2] - redis.call('ZCARD', KEYS[1])
if granted then
  redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[3] * 2)
end
return granted and 1 or 0
"""
)

RENEW = (
    _NOW
    + """
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
return redis.call('ZCOUNT', KEYS[3], now - ARGV[3], '+inf') > 0 and 1 or 2
"""
)

RELEASE = (
    _NOW
    + """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if tonumber(ARGV[2]) > 0 then return redis.call('ZADD', KEYS[1], 'XX', now + ARGV[2], ARGV[1]) end
return redis.call('ZREM', KEYS[1], ARGV[1])
"""
)


class Renewal(IntEnum):
    """The result of a renewal: the slot has expired; it is renewed, but others wait for one; it is renewed."""

    LOST = 0
    WANTED = 1
    KEPT = 2


@dataclass(frozen=True, slots=True)
class SlotTimes:
    """Seconds: a slot expires after `hold_s` without a renewal, a waiter after `forget_s` without an attempt."""

    hold_s: float = 90.0
    forget_s: float = 3.0


class Slots:
    """`cap` slots under a name. Tokens are chosen by the caller and unique. Redis failures are raised."""

    def __init__(self, redis: RedisClients, name: str, cap: int, times: SlotTimes | None = None) -> None:
        self.cap = cap
        self._times = times or SlotTimes()
        # Expiry by holder; time of the first attempt by waiter; time of the last attempt by waiter.
        self._keys = [redis.key("slots", name, part) for part in ("held", "queue", "asked")]
        self._try_acquire = redis.commands.register_script(ACQUIRE)
        self._renew = redis.commands.register_script(RENEW)
        self._release = redis.commands.register_script(RELEASE)

    async def try_acquire(self, token: str) -> bool:
        """True when the token holds a slot now; else it keeps its position in the queue while it retries."""
        hold_ms, forget_ms = self._milliseconds()
        return bool(await self._try_acquire(keys=self._keys, args=[token, self.cap, hold_ms, forget_ms]))

    async def renew(self, token: str) -> Renewal:
        """Extend the slot by `hold_s` seconds."""
        hold_ms, forget_ms = self._milliseconds()
        return Renewal(int(await self._renew(keys=self._keys, args=[token, hold_ms, forget_ms])))

    async def release(self, token: str, after_s: float = 0.0) -> None:
        """Free the slot in `after_s` seconds, or leave the queue."""
        await self._release(keys=self._keys, args=[token, round(after_s * 1000)])

    def _milliseconds(self) -> tuple[int, int]:
        return round(self._times.hold_s * 1000), round(self._times.forget_s * 1000)
