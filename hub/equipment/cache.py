"""The newest plant of one feed in two cache tiers, and the permit to read the view, which one hub has at a time."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from hub.cache.figures import CacheFigures
from hub.cache.lock import Lock, LockHeld
from hub.cache.memory import Entry
from hub.cache.redis import REDIS_FAILURES, RedisClients
from hub.cache.two_tier import CacheCounters, Stored, TwoTier
from hub.cache.versions import Version
from hub.equipment.machines import Plant, dump_plant, parse_plant
from hub.runtime.clock import Clock

SCHEMA = "v2"
"""Part of the key in Redis: records of another shape, written by another version, must not be read."""

KEEP_S = 24 * 3600.0
"""Seconds that Redis keeps the last plant; a hub that starts later begins without one."""

CHECK_S = 30.0
"""Seconds after which Redis is checked for a newer plant, in case its notification was lost."""

LOCK_S = 10.0
"""Seconds after which the lock of a killed hub expires; a running hub renews it during its query."""

FUTURE_S = 5.0
"""Seconds; a timestamp further in the future is wrong, not fresh."""


@dataclass(frozen=True, slots=True)
class ReadPermit:
    """The permit to read the view once. `age_s` is the time since any hub last read it; None: never, or unknown.

    `started_ms` is when the permit was granted, by the clock of Redis if there is one, else by this hub's.
    """

    generation: int
    started_ms: int
    age_s: float | None

    def is_fresh(self, limit_s: float) -> bool:
        """True when the view was read less than `limit_s` ago; a timestamp in the future counts as none."""
        return self.age_s is not None and -FUTURE_S <= self.age_s < limit_s


class EquipmentCache:
    """Holds the newest plant; it calls `on_plant()` for each newer one, whichever hub has read it.

    `refusal` is why this hub or another refused the newest answer of the view, until an accepted one is published;
    `on_refusal()` is called when it changes.
    """

    def __init__(
        self,
        feed_id: str,
        redis: RedisClients | None,
        clock: Clock,
        interval_s: float,
        on_plant: Callable[[], None],
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self.refusal: str | None = None
        self._refused_ms = 0  # when the permit of the refused read was granted
        self._on_refusal = on_refusal
        self._feed_id = feed_id
        self._key = f"{feed_id}.{SCHEMA}"
        self._clock = clock
        self._checked_s: float | None = None  # steady time at which this hub last read the view
        self._tiers: TwoTier[Plant] = TwoTier(
            "equipment",
            redis,
            dump_plant,
            parse_plant,
            clock,
            ttl_s=min(CHECK_S, interval_s),
            keep_s=KEEP_S,
            size=1,
            on_entry=lambda key, entry: on_plant(),
            on_version=lambda key, version: self._apply_version(version),
        )
        self._lock = Lock(redis, f"equipment.{self._key}", min(LOCK_S, interval_s / 3)) if redis else None

    @property
    def entry(self) -> Entry[Plant] | None:
        """The newest plant in this process; never waits."""
        return self._tiers.peek(self._key)

    @property
    def degraded(self) -> str | None:
        """Why the plant may be older here than in other hubs: Redis is configured and cannot be used; else None."""
        return self._tiers.degraded

    @property
    def counters(self) -> CacheCounters:
        """The counters of the tiers."""
        return self._tiers.counters

    def figures(self) -> CacheFigures:
        """Statistics for the API and for metrics."""
        return self._tiers.figures(f"equipment/{self._feed_id}")

    async def run(self) -> None:
        """Load what other hubs publish, until cancelled."""
        await self._tiers.run((self._key,))

    @asynccontextmanager
    async def read_permit(self) -> AsyncIterator[ReadPermit | LockHeld]:
        """The permit for the block, or `LockHeld` while another hub has it; loads the newest plant from Redis.

        Without a working Redis each hub reads for itself. Exceptions of the block are raised in a group.
        """
        async with AsyncExitStack() as stack:
            yield await self._acquire_permit(stack)

    async def publish(self, plant: Plant, permit: ReadPermit) -> bool:
        """Publish a plant to all hubs; False when a newer one was published already."""
        self._checked_s = self._clock.steady()
        stored = await self._tiers.put(self._key, permit.generation, permit.started_ms, plant)
        is_newest = stored is not Stored.OLDER
        if is_newest:
            self._set_refusal(None)
        return is_newest

    async def refuse(self, permit: ReadPermit, reason: str) -> None:
        """Record that the answer of the view was refused, so that no hub reads it again before its next cycle."""
        self._checked_s = self._clock.steady()
        self._refused_ms = permit.started_ms
        self._set_refusal(reason)
        await self._tiers.mark_checked(self._key, permit.started_ms, reason)

    def _apply_version(self, version: Version) -> None:
        """Adopt the refusal in Redis unless it is older than this hub's own: Redis may have been emptied."""
        if version.checked_ms and version.checked_ms >= self._refused_ms:
            self._set_refusal(version.note)

    def _set_refusal(self, reason: str | None) -> None:
        if reason != self.refusal:
            self.refusal = reason
            self._on_refusal()

    async def _acquire_permit(self, stack: AsyncExitStack) -> ReadPermit | LockHeld:
        held = self.entry
        above = held.generation if held else 0
        if self._lock is not None:
            try:
                lease = await stack.enter_async_context(self._lock.hold(above))
            except REDIS_FAILURES as error:
                self._tiers.redis_failed(error)
            else:
                if isinstance(lease, LockHeld):
                    if held is None:
                        await self._tiers.revalidate(self._key)
                    return lease
                version = await self._tiers.revalidate(self._key)
                if version is not None:
                    asked_ms = max(version.checked_ms, version.started_ms)
                    age_s = (lease.at_ms - asked_ms) / 1000 if asked_ms else None
                    return ReadPermit(lease.generation, lease.at_ms, age_s)
        now_ms = round(self._clock.now().timestamp() * 1000)
        return ReadPermit(max(above + 1, now_ms), now_ms, self._own_age_s())

    def _own_age_s(self) -> float | None:
        read_at = [time for time in (self._checked_s, self.entry.time if self.entry else None) if time is not None]
        return self._clock.steady() - max(read_at) if read_at else None
