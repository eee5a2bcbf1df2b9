"""The two kinds of work, events and lineage, which a job or an inline request runs."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Protocol

import anyio
from anyio import to_thread

from hub.trace.batch_runner import BusyPolicy
from hub.trace.cache import MAX_ANSWER, MAX_IDS, Answer, EventCache, digest_of
from hub.trace.domains import DOMAINS, DomainName
from hub.trace.history import BulkHistory, HistoryRun
from hub.trace.lineage import Lineage, LineageRun
from hub.trace.lines import encode_lines
from hub.trace.quality import Quality, worst
from hub.trace.spool import Spool

_CHUNK = 5000


class Work(Protocol):
    """Fills a spool. All methods but `run` may be called at any time."""

    kind: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts of the result."""

    async def run(self, spool: Spool, policy: BusyPolicy) -> None:
        """Fill the spool. Raises OSError when the disk is full, `LaneBusy` if the policy says so."""

    def progress(self) -> Mapping[str, Any]:
        """The numbers of batches and rows so far."""

    def quality(self, part: str) -> Quality:
        """The quality of one part."""

    def overall(self) -> Quality:
        """The quality of the whole result."""

    def stopped(self, reason: str) -> None:
        """Record that the work stops unfinished; its quality says why."""

    def release(self) -> None:
        """Free ids and nodes after the end; progress and quality stay."""


class EventsWork:
    """Reads the events of a request, from the cache if it has them."""

    kind = "events"

    def __init__(self, run: HistoryRun, history: BulkHistory, cache: EventCache) -> None:
        self._run = run
        self._history = history
        self._cache = cache
        self._is_cacheable = len(run.ids) <= MAX_IDS
        self._cached: dict[DomainName, Quality] = {}

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(name.value for name in self._run.domains)

    async def run(self, spool: Spool, policy: BusyPolicy) -> None:
        started = anyio.current_time()
        digest = await to_thread.run_sync(digest_of, self._run.ids) if self._is_cacheable else ""
        if self._is_cacheable:
            await self._add_cached(spool, digest)
        await self._history.fetch(self._run, spool, policy)
        if self._is_cacheable:
            await self._cache_results(spool, digest, anyio.current_time() - started)

    def progress(self) -> Mapping[str, Any]:
        rows = sum(tally.rows for tally in self._run.tallies.values())
        cached = sum(one.observed_rows for one in self._cached.values())
        return {"batches_done": self._run.batches_done, "batches": self._run.batches_in_all, "rows": rows + cached}

    def quality(self, part: str) -> Quality:
        name = DomainName(part)
        return self._cached.get(name) or self._run.quality(name)

    def overall(self) -> Quality:
        return worst(self.quality(part) for part in self.parts)

    def stopped(self, reason: str) -> None:
        self._run.stopped(reason)

    def release(self) -> None:
        self._run.release()

    async def _add_cached(self, spool: Spool, digest: str) -> None:
        for name in self._run.domains:
            answer = await self._cache.get(DOMAINS[name], digest)
            if answer is not None:
                with spool.lines() as lines:
                    await to_thread.run_sync(lines.write, answer.lines, answer.rows)
                    await spool.add(name, lines)
                self._cached[name] = Quality(answer.rows)
                self._run.skip(name)

    async def _cache_results(self, spool: Spool, digest: str, age_s: float) -> None:
        for name in self._run.domains:
            quality = self._run.quality(name)
            if name in self._cached or not quality.is_complete or await spool.size(name) > MAX_ANSWER:
                continue
            data = b"".join([chunk async for chunk in spool.stream(name)])
            await self._cache.put(DOMAINS[name], digest, Answer(data, quality.observed_rows), age_s)


class LineageWork:
    """Reads a lineage, and writes it as two parts at the end."""

    kind = "lineage"
    parts = ("nodes", "edges")

    def __init__(self, run: LineageRun, lineage: Lineage) -> None:
        self._run = run
        self._lineage = lineage

    async def run(self, spool: Spool, policy: BusyPolicy) -> None:
        await self._lineage.walk(self._run, policy)
        await self._write(spool, "nodes", ("container_id", "container_name"), list(self._run.nodes.items()))
        await self._write(
            spool, "edges", ("source", "target", "type"), await to_thread.run_sync(self._run.known_edges)
        )

    def progress(self) -> Mapping[str, Any]:
        tally = self._run.tally
        return {"batches_done": tally.done, "batches": tally.batches, "rows": self._run.quality().observed_rows}

    def quality(self, part: str) -> Quality:
        return self._run.quality()

    def overall(self) -> Quality:
        return self._run.quality()

    def stopped(self, reason: str) -> None:
        self._run.tally.unfinished = reason

    def release(self) -> None:
        self._run.release()

    async def _write(self, spool: Spool, part: str, columns: tuple[str, ...], rows: list[Any]) -> None:
        with spool.lines() as lines:
            for start in range(0, len(rows), _CHUNK):
                chunk = rows[start : start + _CHUNK]
                data = await to_thread.run_sync(encode_lines, columns, chunk, UTC)
                await to_thread.run_sync(lines.write, data, len(chunk))
            await spool.add(part, lines)
