"""A limit over all processes on Redis: so many hold a slot, in order of arrival, each for a limited time."""

from dataclasses import dataclass
from enum import IntEnum

from hub.cache.redis import RedisClients

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
"""

ASK = (
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

GIVE_BACK = (
    _NOW
    + """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if tonumber(ARGV[2]) > 0 then return redis.call('ZADD', KEYS[1], 'XX', now + ARGV[2], ARGV[1]) end
return redis.call('ZREM', KEYS[1], ARGV[1])
"""
)


class Renewal(IntEnum):
    """What became of a slot: it ran out, it goes on but others wait for one, it goes on."""

    LOST = 0
    WANTED = 1
    KEPT = 2


@dataclass(frozen=True, slots=True)
class SlotTimes:
    """Seconds. A slot not renewed for `hold_s` is free again; who has not asked for `forget_s` has gone away."""

    hold_s: float = 90.0
    forget_s: float = 3.0


class Slots:
    """`cap` slots under a name. Tokens are the caller's own, unique ones. Redis failures are raised."""

    def __init__(self, redis: RedisClients, name: str, cap: int, times: SlotTimes | None = None) -> None:
        self.cap = cap
        self._times = times or SlotTimes()
        # Expiry by holder; time of the first question by waiter; time of the last question by waiter.
        self._keys = [redis.key("slots", name, part) for part in ("held", "queue", "asked")]
        self._ask = redis.commands.register_script(ASK)
        self._renew = redis.commands.register_script(RENEW)
        self._give_back = redis.commands.register_script(GIVE_BACK)

    async def ask(self, token: str) -> bool:
        """True when the slot is the token's now. Else it waits in line for as long as it keeps asking."""
        hold_ms, forget_ms = self._milliseconds()
        return bool(await self._ask(keys=self._keys, args=[token, self.cap, hold_ms, forget_ms]))

    async def renew(self, token: str) -> Renewal:
        """Hold the slot for another `hold_s` seconds."""
        hold_ms, forget_ms = self._milliseconds()
        return Renewal(int(await self._renew(keys=self._keys, args=[token, hold_ms, forget_ms])))

    async def give_back(self, token: str, after_s: float = 0.0) -> None:
        """The slot, or the place in line, is free again, `after_s` seconds from now."""
        await self._give_back(keys=self._keys, args=[token, round(after_s * 1000)])

    def _milliseconds(self) -> tuple[int, int]:
        return round(self._times.hold_s * 1000), round(self._times.forget_s * 1000)
