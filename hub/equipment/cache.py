"""The plant of one feed in the two tiers, whose turn it is to read the view, and how old the answer may be."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from hub.cache.figures import CacheFigures
from hub.cache.lock import Held, Lock
from hub.cache.memory import Entry
from hub.cache.redis import REDIS_FAILURES, RedisClients
from hub.cache.two_tier import CacheCounters, Stored, TwoTier
from hub.cache.versions import Version
from hub.equipment.machines import Plant, dump_plant, parse_plant
from hub.runtime.clock import Clock

SCHEMA = "v2"
"""Part of the key in Redis: a hub that writes records of another shape must not be read by this one."""

KEEP_S = 24 * 3600.0
"""How long Redis keeps the last plant: a day without an answer, and a hub that starts knows nothing."""

CHECK_S = 30.0
"""How long a plant serves before Redis is asked for a newer one, should the word of another hub have been lost."""

LOCK_S = 10.0
"""How long the lock of a killed hub keeps the others away; one that lives renews it while its query runs."""

FUTURE_S = 5.0
"""A stamp further ahead than this is wrong, not fresh."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to read the view once. `age_s` is since anyone last asked the view; None: never, or unknown.

    `started_ms` is when the turn began, on Redis' clock where there is one, else on this hub's.
    """

    generation: int
    started_ms: int
    age_s: float | None

    def is_fresh(self, limit_s: float) -> bool:
        """True when the view was asked less than `limit_s` ago; a stamp from the future counts as none."""
        return self.age_s is not None and -FUTURE_S <= self.age_s < limit_s


class EquipmentCache:
    """Holds the newest plant; `on_plant()` is called whenever a newer one is there, whoever read it.

    `refusal` is why the newest answer of the view was refused, by this hub or another, until a good one is
    published; `on_refusal()` is called when it changes.
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
        self._refused_ms = 0  # when the turn of the refusal began
        self._on_refusal = on_refusal
        self._feed_id = feed_id
        self._key = f"{feed_id}.{SCHEMA}"
        self._clock = clock
        self._checked_s: float | None = None  # steady time at which this hub last asked the view
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
            on_version=lambda key, version: self._heed(version),
        )
        self._lock = Lock(redis, f"equipment.{self._key}", min(LOCK_S, interval_s / 3)) if redis else None

    @property
    def entry(self) -> Entry[Plant] | None:
        """The newest plant that this process has; never waits."""
        return self._tiers.peek(self._key)

    @property
    def degraded(self) -> str | None:
        """Why the plant may be older here than elsewhere: Redis is configured and cannot be used."""
        return self._tiers.degraded

    @property
    def counters(self) -> CacheCounters:
        """Loads, failures and the like of the tiers."""
        return self._tiers.counters

    def figures(self) -> CacheFigures:
        """For statistics."""
        return self._tiers.figures(f"equipment/{self._feed_id}")

    async def run(self) -> None:
        """Follow what other hubs publish, until cancelled."""
        await self._tiers.run((self._key,))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn | Held]:
        """The right to read the view for the block, or `Held` while another hub has it; loads the newest plant.

        A Redis that cannot be asked stops nobody: then each hub reads for itself. What the block raises comes out
        in an exception group.
        """
        async with AsyncExitStack() as stack:
            yield await self._take_turn(stack)

    async def publish(self, plant: Plant, turn: Turn) -> bool:
        """Make a plant the newest one here and everywhere; False when a newer one is there already."""
        self._checked_s = self._clock.steady()
        stored = await self._tiers.put(self._key, turn.generation, turn.started_ms, plant)
        is_newest = stored is not Stored.OLDER
        if is_newest:
            self._set_refusal(None)
        return is_newest

    async def refuse(self, turn: Turn, reason: str) -> None:
        """The view was read, and its answer refused: nobody needs to ask again before the next cycle."""
        self._checked_s = self._clock.steady()
        self._refused_ms = turn.started_ms
        self._set_refusal(reason)
        await self._tiers.mark_checked(self._key, turn.started_ms, reason)

    def _heed(self, version: Version) -> None:
        """What the hubs found last. A Redis that was emptied, or away at our own refusal, does not know better."""
        if version.checked_ms and version.checked_ms >= self._refused_ms:
            self._set_refusal(version.note)

    def _set_refusal(self, reason: str | None) -> None:
        if reason != self.refusal:
            self.refusal = reason
            self._on_refusal()

    async def _take_turn(self, stack: AsyncExitStack) -> Turn | Held:
        held = self.entry
        above = held.generation if held else 0
        if self._lock is not None:
            try:
                lease = await stack.enter_async_context(self._lock.hold(above))
            except REDIS_FAILURES as error:
                self._tiers.redis_failed(error)
            else:
                if isinstance(lease, Held):
                    if held is None:
                        await self._tiers.revalidate(self._key)
                    return lease
                version = await self._tiers.revalidate(self._key)
                if version is not None:
                    asked_ms = max(version.checked_ms, version.started_ms)
                    age_s = (lease.at_ms - asked_ms) / 1000 if asked_ms else None
                    return Turn(lease.generation, lease.at_ms, age_s)
        now_ms = round(self._clock.now().timestamp() * 1000)
        return Turn(max(above + 1, now_ms), now_ms, self._own_age_s())

    def _own_age_s(self) -> float | None:
        asked = [time for time in (self._checked_s, self.entry.time if self.entry else None) if time is not None]
        return self._clock.steady() - max(asked) if asked else None
