"""The trace of one database: seeds, lineage and events, answered at once if small, else by a job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

import anyio
from anyio import to_thread

from hub.oracle.connection import Rows
from hub.oracle.fetching import fetch_carefully
from hub.oracle.oracle_lanes import Lane, OracleLanes
from hub.runtime.clock import Clock
from hub.trace.batch_runner import BusyPolicy, run_batches
from hub.trace.cache import EventCache
from hub.trace.domains import DomainName
from hub.trace.history import ROW_CAP, BulkHistory, HistoryRun
from hub.trace.jobs import Job, JobLimits, Jobs
from hub.trace.lineage import Direction, Lineage, LineageRun
from hub.trace.quality import FailedRange, Quality, Tally
from hub.trace.query import Query, TraceSource, text_of
from hub.trace.seeds import seed_queries
from hub.trace.spool import Spool
from hub.trace.work import EventsWork, LineageWork, Work

INLINE_IDS = 1000
"""A request of up to this many ids is answered at once."""

INLINE_ROWS = 200_000
SEED_CAP = 100_000
_INLINE_POLICY = BusyPolicy()


@dataclass(frozen=True, slots=True)
class Inline:
    """A finished result; its receiver must remove the spool after sending it."""

    work: Work
    spool: Spool


@dataclass(frozen=True, slots=True)
class Seeds:
    """Container ids with their names."""

    found: dict[str, str | None]
    quality: Quality


class TracePipeline:
    """Runs as one supervised child, `run()`; requests are refused while it does not run."""

    def __init__(
        self,
        source: TraceSource,
        folder: Path,
        clock: Clock,
        zone: tzinfo,
        cache: EventCache,
        *,
        workers: int = 2,
        limits: JobLimits | None = None,
        lanes: OracleLanes | None = None,
        feed_id: str = "",
    ) -> None:
        self.feed_id = feed_id
        self.cache = cache
        self.jobs = Jobs(folder, clock, limits or JobLimits())
        self.oracle = lanes
        self._source = source
        self._zone = zone
        self._workers = workers
        self._history = BulkHistory(source, zone, workers)
        self._lineage = Lineage(source, workers)

    @property
    def lanes(self) -> Sequence[Lane]:
        """The lanes it uses, for metrics; none for the simulated plant. The feed has a sync lane of its own."""
        return (self.oracle.bulk, self.oracle.probe) if self.oracle else ()

    async def run(self) -> None:
        """Run jobs, close idle sessions and remove expired results, until cancelled."""
        async with anyio.create_task_group() as tasks:
            if self.oracle is not None:
                tasks.start_soon(self.oracle.bulk.run)
            await self.jobs.run()

    async def ping(self) -> float | None:
        """Seconds of a logon and a query on the probe lane; None for the simulated plant. Raises `OracleError`."""
        return await self.oracle.ping() if self.oracle else None

    async def seed(self, profile: str, params: Mapping[str, Any]) -> Seeds:
        """The containers of lots, orders or a date range. Raises ValueError for wrong params, `LaneBusy`."""
        queries = seed_queries(profile, params, self._zone)
        tally = Tally(batches=len(queries))
        found: dict[str, str | None] = {}

        async def sink(result: Rows) -> bool:
            tally.unreadable += sum(result.unreadable.values())
            for container, name in result.rows:
                if len(found) >= SEED_CAP:
                    tally.limits["seed_cap"] = None
                    return False
                if seed := text_of(container):
                    found[seed] = text_of(name)
            return True

        def on_done(query: Query, code: str | None) -> None:
            tally.done += 1
            if code is not None:
                first, last = (query.keys or ("",))[0], (query.keys or ("",))[-1]
                tally.failed.append(FailedRange(first, last, len(query.keys), code, query.kind))

        async def attempt(query: Query) -> None:
            await fetch_carefully(partial(self._source.read, query, sink))

        await self.jobs.run_inline(lambda: run_batches(queries, self._workers, attempt, on_done, _INLINE_POLICY))
        tally.rows = len(found)
        return Seeds(found, tally.quality())

    async def lineage(self, ids: Sequence[str], direction: Direction, owner: str | None = None) -> Inline | Job:
        """The nodes and edges; a job belongs to `owner`. Raises `LaneBusy`, `JobRefused`, OSError."""
        run = await to_thread.run_sync(LineageRun, ids, direction)
        return await self._begin(LineageWork(run, self._lineage), len(run.seeds), owner)

    async def events(
        self, ids: Sequence[str], domains: Sequence[DomainName], owner: str | None = None
    ) -> Inline | Job:
        """The rows per domain; a job belongs to `owner`. Raises `LaneBusy`, `JobRefused`, OSError."""
        run = await to_thread.run_sync(HistoryRun, ids, domains)
        run.row_cap = INLINE_ROWS if len(run.ids) <= INLINE_IDS else ROW_CAP
        return await self._begin(EventsWork(run, self._history, self.cache), len(run.ids), owner)

    async def _begin(self, work: Work, ids: int, owner: str | None) -> Inline | Job:
        if ids > INLINE_IDS:
            return await self.jobs.start(work, owner)
        spool = Spool(self.jobs.folder / f"inline-{token_hex(8)}")

        async def fill() -> None:
            await spool.open(work.parts)
            await work.run(spool, _INLINE_POLICY)

        try:
            await self.jobs.run_inline(fill)
        except BaseException:
            await spool.remove()
            raise
        finally:
            work.release()
        return Inline(work, spool)
