"""One equipment feed: runs its cycles, answers reads from memory without waiting, and reports its status."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import anyio

from hub.cache.figures import CacheFigures
from hub.cache.memory import Entry, Tier
from hub.cache.redis import RedisClients
from hub.equipment.announce import Announcer, Callbacks
from hub.equipment.cache import EquipmentCache
from hub.equipment.machines import Machine, Plant
from hub.equipment.reads import Found, Head, Lookup, NotFound, Page, Unavailable
from hub.equipment.requests import RefreshOptions
from hub.equipment.source import ViewSource
from hub.equipment.status import feed_status, health_of
from hub.equipment.sync import Outcome, OutcomeKind, Sync
from hub.runtime.clock import Clock

STALE_AFTER = 2.0
"""Intervals after which an answer is stale."""


class EquipmentFeed:
    """Runs as one supervised child, `run()`, with or without Redis; all other methods may be called at any time."""

    def __init__(
        self,
        feed_id: str,
        source: ViewSource,
        clock: Clock,
        interval_s: float,
        redis: RedisClients | None = None,
        callbacks: Callbacks | None = None,
        known: Mapping[str, str | None] | None = None,
    ) -> None:
        self.id = feed_id
        self.interval_s = interval_s
        self.lane = source.lane
        self._clock = clock
        self._callbacks = callbacks or Callbacks()
        self._announcer = Announcer(feed_id, clock, interval_s, self._callbacks, known)
        self._cache = EquipmentCache(feed_id, redis, clock, interval_s, self._on_plant, self._on_refusal)
        self._sync = Sync(feed_id, source, self._cache, clock, interval_s, self._on_cycle)
        self._created_s = clock.steady()
        self._is_refused: bool | None = None  # None: not known yet

    async def run(self) -> None:
        """Read the view, load what other hubs publish, and announce plants, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cache.run)
            tasks.start_soon(self._announcer.run, lambda: self._cache.entry)
            tasks.start_soon(self._watch_staleness)
            await self._sync.run()

    async def refresh(self, force: bool = False, accept_shrunken: bool = False) -> Outcome:
        """Run one cycle in this task; `force` skips the freshness check, `accept_shrunken` the shrink check."""
        return await self._sync.refresh(force, accept_shrunken)

    async def ask_refresh(self, force: bool = False, accept_shrunken: bool = False) -> Outcome:
        """Like `refresh`, in the feed's own task, so that it continues when the caller is cancelled.

        Raises `NotRunning`, `RequestRefused`.
        """
        return await self._sync.requests.submit(RefreshOptions(force, accept_shrunken))

    def list(
        self,
        category: str | None = None,
        status: str | None = None,
        q: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        *,
        object_category: str | None = None,
        lot: str | None = None,
    ) -> Page | Unavailable:
        """Machines of a category, of a status code, with `q` in their EQUIPMENTID, of an OBJECTCATEGORY, with a lot
        on them; all of them without a limit.

        `cursor` is the `next_cursor` of a page; it stays valid after a refresh.
        """
        entry = self._read()
        if entry is None:
            return self._unavailable()
        machines = entry.value.machines
        start = bisect_right(machines, cursor, key=_resource_id) if cursor else 0
        chosen = entry.value.select(category, status, q, start, object_category=object_category, lot=lot)
        if limit is None:
            return Page(self._head(entry), tuple(chosen), None)
        items = tuple(islice(chosen, limit))
        has_more = next(chosen, None) is not None
        return Page(self._head(entry), items, items[-1].resource_id if items and has_more else None)

    def get(self, resource_id: str) -> Found | NotFound | Unavailable:
        """One machine by its RESOURCEID."""
        entry = self._read()
        if entry is None:
            return self._unavailable()
        machine = entry.value.by_id.get(resource_id.strip())
        return NotFound(self._head(entry)) if machine is None else Found(self._head(entry), machine)

    def lookup(self, resource_ids: Iterable[str]) -> Lookup | Unavailable:
        """Many machines by RESOURCEID, each once."""
        entry = self._read()
        if entry is None:
            return self._unavailable()
        by_id = entry.value.by_id
        wanted = list(dict.fromkeys(each.strip() for each in resource_ids))
        found = [by_id[each] for each in wanted if each in by_id]
        return Lookup(self._head(entry), found, [each for each in wanted if each not in by_id])

    def status(self) -> dict[str, Any]:
        """The status of the feed, for `/api/equipment/status` and health."""
        entry = self._cache.entry
        head, record = self._head(entry), self._sync.record
        return feed_status(head, self.health, entry, self._cache, record, self._clock, self.interval_s)

    @property
    def cache(self) -> CacheFigures:
        """The statistics of the cache."""
        return self._cache.figures()

    @property
    def health(self) -> str:
        """`ok`, `degraded` or `unhealthy`; before the first answer the age is counted from the start."""
        head = self.head
        waited_s = self._clock.steady() - self._created_s if head.age_s is None else head.age_s
        is_failing = self._sync.record.consecutive_failures > 0 or self._cache.refusal is not None
        return health_of(head, waited_s, self.interval_s, is_failing)

    @property
    def plant(self) -> Plant | None:
        """The newest plant in this process, immutable; None before the first one."""
        entry = self._cache.entry
        return entry.value if entry else None

    @property
    def head(self) -> Head:
        """Age, staleness and source of an answer given now; its `etag` decides a 304 without reading machines."""
        return self._head(self._cache.entry)

    def _read(self) -> Entry[Plant] | None:
        entry = self._cache.entry
        if entry is None:
            self._cache.counters.misses += 1
        else:
            self._cache.counters.hits += 1
        return entry

    def _head(self, entry: Entry[Plant] | None) -> Head:
        degraded = self._cache.degraded is not None
        if entry is None:
            return Head(None, None, True, None, Tier.NONE, degraded)
        age_s = max(0.0, round(self._clock.steady() - entry.time, 3))
        stale = age_s > STALE_AFTER * self.interval_s
        return Head(entry.value.as_of, age_s, stale, entry.generation, entry.tier, degraded)

    def _unavailable(self) -> Unavailable:
        last = self._sync.record.last_outcome
        return Unavailable(self._head(None), last.reason if last and last.reason else "no answer yet")

    def _on_cycle(self, outcome: Outcome) -> None:
        if outcome.kind in (OutcomeKind.FAILED, OutcomeKind.REFUSED, OutcomeKind.LOCK_HELD):
            self._announcer.wake()
        if outcome.kind in (OutcomeKind.REFRESHED, OutcomeKind.FRESH) and self._is_refused is None:
            self._is_refused = False
            self._callbacks.on_refused(self.id, None)

    def _on_plant(self) -> None:
        self._sync.recover()
        self._announcer.wake()

    def _on_refusal(self) -> None:
        """Report when a refusal begins or ends, in this hub or another."""
        is_refused = self._cache.refusal is not None
        if is_refused != bool(self._is_refused):
            self._is_refused = is_refused
            self._callbacks.on_refused(self.id, self._cache.refusal)

    async def _watch_staleness(self) -> None:
        """Report when staleness begins and ends, independently of the cycles.

        The start of the feed counts as an answer. A standstill of the hub does not count, as no cycle could run.
        """
        was_stale = False
        while True:
            entry = self._cache.entry
            age_s = self._clock.steady() - (entry.time if entry else self._created_s)
            run_s = self._clock.steady() - self._clock.resumed_s
            is_stale = (age_s if was_stale else min(age_s, run_s)) > STALE_AFTER * self.interval_s
            if is_stale != was_stale:
                was_stale = is_stale
                last = self._sync.record.last_failure or self._sync.record.last_outcome
                self._callbacks.on_stale(self.id, is_stale, last.reason if last and is_stale else None)
            await anyio.sleep(min(self.interval_s / 4, 5.0))


def _resource_id(machine: Machine) -> str:
    return machine.resource_id
