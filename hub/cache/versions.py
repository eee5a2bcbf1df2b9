"""Versioned snapshots in Redis: each is published and read by one script, so no reader sees a partial one."""

from typing import NamedTuple

from hub.cache.redis import RedisClients

KEEP_S = 24 * 3600
"""Seconds that a snapshot is kept after its last publication, by default."""

NOW = "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000) "

# KEYS: pointer; ARGV: generation (0: the next), started_ms, payload, keep_ms, channel, message
PUBLISH = (
    NOW
    + """
local last = tonumber(redis.call('HGET', KEYS[1], 'generation') or '0')
local generation = tonumber(ARGV[1])
if generation == 0 then generation = math.max(last + 1, now) end
if generation < last then return {0, now} end
local text = string.format('%.0f', generation)
local snapshot = KEYS[1] .. ':' .. text
if ARGV[3] ~= '' then redis.call('SET', snapshot, ARGV[3], 'PX', ARGV[4]) end
if last > 0 and last ~= generation then
  redis.call('PEXPIRE', KEYS[1] .. ':' .. string.format('%.0f', last), 60000)
end
redis.call('HSET', KEYS[1], 'generation', text, 'started_ms', ARGV[2], 'checked_ms', ARGV[2], 'bytes', #ARGV[3])
redis.call('HDEL', KEYS[1], 'note')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return {generation, now}
"""
)

# KEYS: pointer; ARGV: generation already known
LOAD = (
    NOW
    + """
local head = redis.call('HMGET', KEYS[1], 'generation', 'started_ms', 'checked_ms', 'bytes', 'note')
if not head[1] then return {0, 0, tonumber(head[3] or '0'), now, false, head[5]} end
local payload = false
if head[4] == '0' then payload = ''
elseif head[1] ~= ARGV[1] then payload = redis.call('GET', KEYS[1] .. ':' .. head[1]) end
return {tonumber(head[1]), tonumber(head[2]), tonumber(head[3]), now, payload, head[5]}
"""
)

# KEYS: pointer; ARGV: started_ms, note, keep_ms, channel, message
CHECKED = """
redis.call('HSET', KEYS[1], 'checked_ms', ARGV[1], 'note', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
"""


class Version(NamedTuple):
    """The state of a key in Redis. Times are milliseconds of the clock of Redis.

    `payload` is None when the caller already has this generation, and empty when the key was deleted.
    """

    generation: int  # 0: the key is not in Redis
    started_ms: int  # when the work that made the snapshot began
    checked_ms: int  # when the newest work began, even if its result was refused
    now_ms: int
    payload: bytes | None
    note: str | None = None  # why the newest result was refused; None once a result is published after it


class Versions:
    """The snapshots of one cache, by key. Failures of Redis are raised.

    A snapshot is kept for `keep_s` seconds after its last publication or check.
    """

    def __init__(self, redis: RedisClients, name: str, keep_s: float = KEEP_S) -> None:
        self._keep_ms = round(keep_s * 1000)
        self._redis = redis
        self._name = name
        self.channel = redis.key(name, "changed")
        self._publish = redis.commands.register_script(PUBLISH)
        self._load = redis.commands.register_script(LOAD)
        self._checked = redis.commands.register_script(CHECKED)

    async def publish(self, key: str, generation: int, started_ms: int, payload: bytes) -> tuple[int, int]:
        """Publish a snapshot and notify the subscribers; returns its generation and the time of Redis in ms.

        Generation 0 chooses the next one. Returns generation 0, and writes nothing, when Redis has a newer one. An
        empty payload deletes the key.
        """
        args: list[int | bytes | str] = [generation, started_ms, payload, self._keep_ms, self.channel, key]
        published, now_ms = await self._publish(keys=[self._key(key)], args=args)
        return int(published), int(now_ms)

    async def load(self, key: str, known: int = 0) -> Version:
        """The newest version, with its payload only when its generation is not `known`."""
        *head, note = await self._load(keys=[self._key(key)], args=[known])
        return Version._make([*head, note.decode() if note else None])

    async def mark_checked(self, key: str, started_ms: int, note: str = "") -> None:
        """Record that the source was read and its answer refused for `note`; notifies, and keeps the snapshot."""
        args: list[int | str] = [started_ms, note, self._keep_ms, self.channel, key]
        await self._checked(keys=[self._key(key)], args=args)

    def _key(self, key: str) -> str:
        return self._redis.key(self._name, key)
