"""A cache in two tiers: immutable values in process memory, in front of versioned snapshots in Redis.

Invariants:

- An entry in memory is replaced only by one of a higher generation, whichever process made it.
- At most one load per key runs in `get`; the other callers wait for it, and load themselves if it is cancelled.
- A key deleted while Redis was unavailable stays in `_undeleted` until Redis has deleted it too, and is not loaded
  from there meanwhile.
- `degraded` is set from a failure of Redis until its next success; memory serves meanwhile.
"""

import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, TypeVar

import anyio
import structlog
from anyio import to_thread

from hub.cache.figures import CacheFigures
from hub.cache.memory import Entry, Memory, Tier
from hub.cache.redis import REDIS_FAILURES, RedisClients
from hub.cache.versions import Version, Versions
from hub.runtime.clock import Clock

log = structlog.get_logger()
_MAX_UNDELETED = 1000
T = TypeVar("T")


@dataclass(slots=True)
class _Load:
    ended: anyio.Event
    has_answer: bool = False


class Stored(Enum):
    """Which tiers a stored value has reached."""

    SHARED = auto()  # Redis, for every hub, and this process
    LOCAL = auto()  # this process only: there is no Redis, or it cannot be used now
    OLDER = auto()  # none: a newer value is stored already


@dataclass(slots=True)
class CacheCounters:
    """Counters of the process tier since its start."""

    hits: int = 0
    misses: int = 0
    loads: int = 0  # whole values read from Redis
    load_ms: float = 0.0  # of the last of them
    corrupt: int = 0  # values in Redis that could not be read
    redis_failures: int = 0
    lost_deletes: int = 0  # never sent to Redis: other hubs may serve these values until they expire


class TwoTier(Generic[T]):
    """Values by key. Without Redis the process tier serves alone; while Redis is down it serves the last value.

    `dump` and `parse` run in worker threads; `parse` raises ValueError for bytes it cannot read. It calls
    `on_entry(key, entry)` for every newer value, whichever process made it, and then `on_version(key, version)` at
    each load from Redis. It holds at most `size` keys and evicts the least recently used one first.
    """

    def __init__(
        self,
        name: str,
        redis: RedisClients | None,
        dump: Callable[[T], bytes],
        parse: Callable[[bytes], T],
        clock: Clock,
        *,
        ttl_s: float = 30.0,
        keep_s: float = 24 * 3600,
        size: int = 32,
        on_entry: Callable[[str, Entry[T]], None] = lambda key, entry: None,
        on_version: Callable[[str, Version], None] = lambda key, version: None,
    ) -> None:
        self.name = name
        self.versions = Versions(redis, name, keep_s) if redis else None
        self.counters = CacheCounters()
        self.degraded: str | None = None  # why Redis cannot be used now
        self._redis = redis
        self._dump = dump
        self._parse = parse
        self._clock = clock
        self._ttl_s = ttl_s
        self._on_entry = on_entry
        self._on_version = on_version
        self._memory: Memory[T] = Memory(clock, ttl_s, size)
        self._size = size
        self._keep_s = keep_s
        self._loads: dict[str, _Load] = {}
        self._undeleted: dict[str, None] = {}  # deleted here while Redis was unavailable

    def peek(self, key: str) -> Entry[T] | None:
        """The entry in process memory, of any age; never waits."""
        return self._memory.peek(key)

    @property
    def evicted(self) -> int:
        """Number of keys evicted."""
        return self._memory.evicted

    async def get(self, key: str) -> Entry[T] | None:
        """The newest value; reads Redis at most once per `ttl_s` and key."""
        while True:
            entry = self._memory.use(key)
            if entry is not None:
                self.counters.hits += 1
                return entry
            load = self._loads.get(key)
            if load is None:
                self.counters.misses += 1
                await self.revalidate(key)
                return self._memory.peek(key)
            await load.ended.wait()
            if load.has_answer:
                return self._memory.peek(key)

    async def revalidate(self, key: str) -> Version | None:
        """Read the version in Redis now, and load a newer value; None when Redis cannot be used.

        Callers of `get` wait for this load meanwhile.
        """
        if self.versions is None:
            self._memory.mark_checked(key)
            return None
        load = self._loads[key] = _Load(anyio.Event())
        try:
            version = await self._load(key)
            load.has_answer = True
            return version
        finally:
            if self._loads.get(key) is load:
                del self._loads[key]
            load.ended.set()

    def figures(self, name: str) -> CacheFigures:
        """The statistics, under a name that distinguishes this cache."""
        counters = self.counters
        return CacheFigures(
            name=name,
            enabled=self._redis is not None and self.degraded is None,
            entries=len(self._memory.keys()),
            size=self._size,
            unit="keys",
            ttl_s=self._ttl_s,
            keep_s=self._keep_s,
            hits=counters.hits,
            misses=counters.misses,
            loads=counters.loads,
            failures=counters.redis_failures + counters.corrupt,
            evictions=self.evicted,
        )

    async def put(self, key: str, generation: int, started_ms: int, value: T) -> Stored:
        """Publish a value made by work that began at `started_ms`, by the clock of Redis in milliseconds."""
        self._undeleted.pop(key, None)
        stored = Stored.LOCAL
        time = self._clock.steady() - max(0.0, self._clock.now().timestamp() - started_ms / 1000)
        if self.versions is not None:
            payload = await to_thread.run_sync(self._pack, value)
            try:
                published, now_ms = await self.versions.publish(key, generation, started_ms, payload)
            except REDIS_FAILURES as error:
                self.redis_failed(error)
            else:
                self._redis_works()
                time = self._clock.steady() - max(0, now_ms - started_ms) / 1000
                if not published:
                    return Stored.OLDER
                stored, generation = Stored.SHARED, published
        return stored if self._adopt(key, Entry(generation, time, value, Tier.L1)) else Stored.OLDER

    async def mark_checked(self, key: str, started_ms: int, note: str) -> None:
        """Record in Redis that the source was read and its answer refused, so that other processes see why."""
        if self.versions is not None:
            try:
                await self.versions.mark_checked(key, started_ms, note)
            except REDIS_FAILURES as error:
                self.redis_failed(error)

    async def delete(self, key: str) -> Stored:
        """Delete a value here and, through Redis, in every process: at once, or when Redis can be used again.

        Returns SHARED when it is deleted everywhere, LOCAL when only here so far.
        """
        self._memory.drop(key)
        if self.versions is None:
            return Stored.LOCAL
        self._undeleted[key] = None
        while len(self._undeleted) > _MAX_UNDELETED:
            del self._undeleted[next(iter(self._undeleted))]
            self.counters.lost_deletes += 1
        try:
            await self._delete_in_redis(key)
        except REDIS_FAILURES as error:
            self.redis_failed(error)
            return Stored.LOCAL
        return Stored.SHARED

    async def _delete_in_redis(self, key: str) -> None:
        assert self.versions is not None
        await self.versions.publish(key, 0, 0, b"")
        self._undeleted.pop(key, None)

    async def run(self, watch: Collection[str] = ()) -> None:
        """Refresh held and watched keys until cancelled: when another process publishes, and every `ttl_s`."""
        if self._redis is None:
            await anyio.sleep_forever()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, watch)
            while True:
                await anyio.sleep(self._ttl_s)
                for key in {*self._memory.keys(), *watch}:
                    await self.revalidate(key)

    def redis_failed(self, error: Exception) -> None:
        """Record a failure of Redis; memory serves meanwhile, and `degraded` says so."""
        self.counters.redis_failures += 1
        if self.degraded is None:
            log.warning("redis cannot be used; memory serves", cache=self.name, error=type(error).__name__)
        self.degraded = f"redis: {type(error).__name__}"

    def _redis_works(self) -> None:
        if self.degraded is not None:
            log.info("redis works again", cache=self.name)
        self.degraded = None

    async def _listen(self, watch: Collection[str]) -> None:
        assert self._redis is not None
        assert self.versions is not None
        while True:
            try:
                async with self._redis.stream.pubsub(ignore_subscribe_messages=True) as messages:
                    with anyio.fail_after(5):
                        await messages.subscribe(self.versions.channel)
                    # Keys that were published or deleted while this process was not subscribed.
                    for key in {*self._memory.keys(), *watch, *self._undeleted}:
                        await self.revalidate(key)
                    async for message in messages.listen():
                        key = message["data"].decode()
                        if self._memory.peek(key) or key in watch:
                            await self.revalidate(key)
            except (*REDIS_FAILURES, TimeoutError) as error:
                self.redis_failed(error)
            await anyio.sleep(1)

    async def _load(self, key: str) -> Version | None:
        assert self.versions is not None
        held = self._memory.peek(key)
        known = held.generation if held else 0
        started = anyio.current_time()
        try:
            if key in self._undeleted:
                await self._delete_in_redis(key)
            version = await self.versions.load(key, known)
        except REDIS_FAILURES as error:
            self.redis_failed(error)
            return None
        finally:
            self._memory.mark_checked(key)
        self._redis_works()
        if version.payload and version.generation > known:
            await self._store_loaded(key, version, version.payload)
            self.counters.load_ms = round((anyio.current_time() - started) * 1000, 2)
        elif version.payload == b"" and version.generation > known:
            self._memory.drop(key)
        self._on_version(key, version)
        return version

    async def _store_loaded(self, key: str, version: Version, payload: bytes) -> None:
        try:
            value = await to_thread.run_sync(self._unpack, payload)
        except (ValueError, zlib.error) as error:
            self.counters.corrupt += 1
            log.error("a value in redis cannot be read", cache=self.name, key=key, error=str(error))
            return
        self.counters.loads += 1
        time = self._clock.steady() - max(0, version.now_ms - version.started_ms) / 1000
        self._adopt(key, Entry(version.generation, time, value, Tier.L2))

    def _pack(self, value: T) -> bytes:
        """The compressed value: a tenth of the bytes in Redis, for a few milliseconds in a worker thread."""
        return zlib.compress(self._dump(value), 1)

    def _unpack(self, payload: bytes) -> T:
        return self._parse(zlib.decompress(payload))

    def _adopt(self, key: str, entry: Entry[T]) -> bool:
        is_newer = self._memory.adopt(key, entry)
        if is_newer:
            self._on_entry(key, entry)
        return is_newer
