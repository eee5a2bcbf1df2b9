"""Reads the events of containers: the rows of the event domains for any number of ids, streamed into a spool."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from functools import partial
from typing import NamedTuple

from anyio import Lock, to_thread

from hub.oracle.connection import FetchMode, Rows
from hub.oracle.fetching import fetch_carefully
from hub.trace.batch_runner import BusyPolicy, run_batches
from hub.trace.domains import DOMAINS, Domain, DomainName
from hub.trace.lines import encode_lines, event_rows
from hub.trace.quality import FailedRange, Quality, Tally
from hub.trace.query import TraceSource, batches, distinct, event_query
from hub.trace.spool import Lines, Spool

ROW_CAP = 2_000_000


class Batch(NamedTuple):
    """Ids of one domain for one statement."""

    domain: Domain
    ids: tuple[str, ...]


class HistoryRun:
    """One request, and its results so far per domain; `quality` may be called at any time."""

    def __init__(self, ids: Iterable[str], domains: Sequence[DomainName], row_cap: int = ROW_CAP) -> None:
        self.ids = distinct(ids)
        self.domains = tuple(dict.fromkeys(domains))
        self.row_cap = row_cap
        self.batches = [
            Batch(DOMAINS[name], some) for name in self.domains for some in batches(self.ids, DOMAINS[name].batch)
        ]
        self.tallies = {name: Tally() for name in self.domains}
        for batch in self.batches:
            self.tallies[batch.domain.name].batches += 1

    @property
    def batches_done(self) -> int:
        """Batches that have ended, with success or not."""
        return sum(tally.done for tally in self.tallies.values())

    def quality(self, name: DomainName) -> Quality:
        """The quality of one domain."""
        return self.tallies[name].quality()

    def skip(self, name: DomainName) -> None:
        """Do not read a domain, because its rows are cached."""
        self.batches = [batch for batch in self.batches if batch.domain.name != name]
        self.tallies[name] = Tally()

    @property
    def batches_in_all(self) -> int:
        """All batches, ended or not."""
        return sum(tally.batches for tally in self.tallies.values())

    def release(self) -> None:
        """Free the ids and batches; nothing is read any more."""
        self.ids = []
        self.batches = []

    def stopped(self, reason: str) -> None:
        """Record that the request stops unfinished, and why."""
        for tally in self.tallies.values():
            if tally.done < tally.batches:
                tally.unfinished = reason


class BulkHistory:
    """Runs requests against a source with `workers` statements each. One thread at a time encodes lines."""

    def __init__(self, source: TraceSource, zone: tzinfo, workers: int = 2) -> None:
        self._source = source
        self._zone = zone
        self._workers = workers
        self._encoding = Lock()

    async def fetch(self, run: HistoryRun, spool: Spool, policy: BusyPolicy) -> None:
        """Fill the spool. The quality of the run names failed batches.

        Raises OSError when the disk is full, `LaneBusy` if the policy says so.
        """

        async def attempt(batch: Batch) -> None:
            await fetch_carefully(partial(self._read, batch, run, spool))

        def on_done(batch: Batch, code: str | None) -> None:
            tally = run.tallies[batch.domain.name]
            tally.done += 1
            if code is not None:
                failed = FailedRange(batch.ids[0], batch.ids[-1], len(batch.ids), code, batch.domain.name)
                tally.failed.append(failed)

        await run_batches(run.batches, self._workers, attempt, on_done, policy)

    async def _read(self, batch: Batch, run: HistoryRun, spool: Spool, mode: FetchMode) -> None:
        domain, tally = batch.domain, run.tallies[batch.domain.name]
        if tally.rows >= run.row_cap:
            tally.limits["row_cap"] = None
            return
        wanted = frozenset(batch.ids)
        unreadable: Counter[str] = Counter()
        with spool.lines() as lines:

            async def sink(rows: Rows) -> bool:
                async with self._encoding:
                    written = lines.rows
                    room = run.row_cap - tally.rows - tally.pending
                    has_room = await to_thread.run_sync(self._write, lines, domain, rows, wanted, room, unreadable)
                    tally.pending += lines.rows - written
                if not has_room:
                    tally.limits["row_cap"] = None
                return has_room

            try:
                await self._source.read(event_query(domain, batch.ids), sink, mode)
                await spool.add(domain.name, lines)
                tally.rows += lines.rows
                tally.unreadable += unreadable.total()
            finally:
                tally.pending -= lines.rows

    def _write(
        self,
        lines: Lines,
        domain: Domain,
        result: Rows,
        wanted: frozenset[str],
        room: int,
        unreadable: Counter[str],
    ) -> bool:
        unreadable.update(result.unreadable)
        columns, rows = event_rows(domain, result, wanted)
        kept = rows[: max(0, room)]
        lines.write(encode_lines(columns, kept, self._zone, unreadable), len(kept))
        return len(kept) == len(rows)
