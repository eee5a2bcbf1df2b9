"""`hub bench isolation`: a bulk history request beside the equipment sync, through one pool and through lanes.

The incident that lanes prevent, with times scaled 1:10: 114,892 ids in two domains, 230 statements of 2-6 s, on a
database with six sessions that serves in order of arrival, while the equipment view is read every 20 s.
"""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from anyio import to_thread

from hub.bench.oracle_process import OracleProcess, open_oracle_process
from hub.bench.timing import percentile, rss_mb, run_lag
from hub.equipment.aggregate import aggregate
from hub.equipment.view import parse_rows, select_sql
from hub.oracle.bulk import BulkLane
from hub.oracle.connection import Binds, Rows, connector
from hub.oracle.lanes import Deadlines
from hub.oracle.oracle_lanes import BULK_ROWS, OracleLanes
from hub.trace.batch_runner import BusyPolicy
from hub.trace.domains import DomainName
from hub.trace.history import BulkHistory, HistoryRun
from hub.trace.source import OracleSource
from hub.trace.spool import Spool

VIEW_SQL = select_sql("DWH.DW_MES_EQUIPMENTSTATUS_WIP_V")
DOMAINS = (DomainName.HISTORY, DomainName.MATERIALS)
SESSIONS = 6
IDS = 114_892
MILLION_IDS = 50_000
_MEMORY_EVERY_S = 0.1
_PATIENT = Deadlines(acquire_s=3600.0)

Fetch = Callable[[str], Awaitable[Rows]]


@dataclass(slots=True)
class Figures:
    """The measurements of one run."""

    sync_s: list[float] = field(default_factory=list)
    missed_cycles: int = 0
    bulk_total_s: float | None = None
    loop_lag_max_s: float = 0.0
    peak_rss_mb: float = 0.0
    sessions_max: int = 0
    rows: int = 0
    quality: str | None = None

    def document(self) -> dict[str, Any]:
        """The measurements as JSON values."""
        return {
            "sync_p50_s": _rounded(percentile(self.sync_s, 50)),
            "sync_p95_s": _rounded(percentile(self.sync_s, 95)),
            "sync_max_s": _rounded(max(self.sync_s, default=None)),
            "sync_cycles": len(self.sync_s),
            "missed_cycles": self.missed_cycles,
            "bulk_total_s": _rounded(self.bulk_total_s),
            "bulk_rows": self.rows,
            "bulk_quality": self.quality,
            "loop_lag_max_ms": round(self.loop_lag_max_s * 1000, 1),
            "peak_rss_mb": self.peak_rss_mb,
            "sessions_max": self.sessions_max,
        }


async def run_isolation(
    scale: float = 0.1, ids: int = IDS, idle_cycles: int = 10, million_ids: int = MILLION_IDS
) -> dict[str, Any]:
    """The runs `idle`, `shared`, `lanes` and `million_rows`, and `checks` that pass or fail; takes about 90 s.

    Raises `SimulatorUnavailable` when the simulated Oracle cannot be started.
    """
    gc.collect()
    gc.freeze()  # as a running hub does: else each full collection scans all code again
    try:
        idle = await _idle(scale, idle_cycles)
        shared = await _shared(scale, ids)
        lanes = await _lanes(scale, ids)
        million = await _million_rows(million_ids)
    finally:
        gc.unfreeze()
    checks = _checks(idle, shared, lanes, million)
    return {
        "idle": idle.document(),
        "shared": shared.document(),
        "lanes": lanes.document(),
        "million_rows": million,
        "checks": checks,
        "passed": all(check["ok"] for check in checks.values()),
    }


async def _idle(scale: float, cycles: int) -> Figures:
    figures = Figures()
    async with _oracle(scale) as oracle:
        lanes = OracleLanes(oracle.account)
        async with _watched(oracle, figures):
            done = anyio.Event()
            await _sync(figures, lanes.sync.fetch, 20 * scale, done, cycles)
    return figures


async def _shared(scale: float, ids: int) -> Figures:
    """Everything through one pool: a statement waits behind all statements before it."""
    async with _oracle(scale) as oracle:
        connect = connector(oracle.account, call_s=3600.0, fetch_rows=BULK_ROWS, statements=40)
        pool = BulkLane(connect, SESSIONS, _PATIENT, name="shared", waiters=1_000_000)

        async def fetch(sql: str, binds: Binds | None = None) -> Rows:
            rows = Rows((), [])

            async def sink(some: Rows) -> bool:
                nonlocal rows
                rows = Rows(some.columns, rows.rows + some.rows)
                return True

            await pool.read(sql, binds or {}, sink)
            return rows

        return await _both(oracle, fetch, pool, workers=1_000_000, every_s=20 * scale, ids=ids)


async def _lanes(scale: float, ids: int) -> Figures:
    async with _oracle(scale) as oracle:
        lanes = OracleLanes(oracle.account, bulk_sessions=SESSIONS - 1)
        return await _both(oracle, lanes.sync.fetch, lanes.bulk, SESSIONS - 1, 20 * scale, ids)


async def _both(
    oracle: OracleProcess, fetch: Fetch, bulk: BulkLane, workers: int, every_s: float, ids: int
) -> Figures:
    figures = Figures()
    run = HistoryRun([f"48801a80{number:08x}" for number in range(ids)], DOMAINS)
    with TemporaryDirectory(prefix="hub-bench-") as folder:
        spool = Spool(Path(folder) / "spool")
        await spool.open(DOMAINS)
        done = anyio.Event()
        async with _watched(oracle, figures), anyio.create_task_group() as tasks:
            started = anyio.current_time()
            tasks.start_soon(_sync, figures, fetch, every_s, done, None)
            await BulkHistory(OracleSource(bulk), UTC, workers).fetch(run, spool, BusyPolicy(60.0))
            figures.bulk_total_s = anyio.current_time() - started
            done.set()
        await bulk.close_idle()
    figures.rows = sum(spool.rows.values())
    figures.quality = "complete" if all(run.quality(name).is_complete for name in DOMAINS) else "incomplete"
    return figures


async def _million_rows(ids: int) -> dict[str, Any]:
    """Read twenty rows for each id, and measure the memory of the process meanwhile."""
    async with open_oracle_process(rows_per_id=20) as oracle:
        lanes = OracleLanes(oracle.account)
        before = rss_mb()
        figures = await _both(oracle, lanes.sync.fetch, lanes.bulk, 2, 2.0, ids // len(DOMAINS))
    above = round(figures.peak_rss_mb - before, 1)
    document = figures.document()
    kept = ("bulk_rows", "bulk_total_s", "loop_lag_max_ms", "bulk_quality")
    return {**{name: document[name] for name in kept}, "rss_above_idle_mb": above}


async def _sync(figures: Figures, fetch: Fetch, every_s: float, done: anyio.Event, cycles: int | None) -> None:
    """Read the view every `every_s` seconds until done, or `cycles` times; count the cycles that were missed."""
    await anyio.sleep(min(0.2, every_s / 10))  # so that the bulk request comes first
    due = anyio.current_time()
    while not done.is_set() and (cycles is None or len(figures.sync_s) < cycles):
        started = anyio.current_time()
        rows = await fetch(VIEW_SQL)
        await to_thread.run_sync(_aggregate, rows)
        figures.sync_s.append(anyio.current_time() - started)
        due += every_s
        while due < anyio.current_time():
            figures.missed_cycles += 1
            due += every_s
        with anyio.CancelScope(deadline=due):
            await done.wait()


def _aggregate(rows: Rows) -> None:
    aggregate(parse_rows(rows, UTC)[0])


@asynccontextmanager
async def _watched(oracle: OracleProcess, figures: Figures) -> AsyncIterator[None]:
    """Measure loop lag, memory and sessions while the block runs."""
    lags_s: list[float] = []
    await oracle.command({"reset": "counters"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_memory, figures)
        tasks.start_soon(run_lag, lags_s)
        yield
        tasks.cancel_scope.cancel()
    figures.loop_lag_max_s = max(lags_s, default=0.0)
    figures.sessions_max = (await oracle.counters())["peak_sessions"]


async def _watch_memory(figures: Figures) -> None:
    while True:
        await anyio.sleep(_MEMORY_EVERY_S)
        figures.peak_rss_mb = max(figures.peak_rss_mb, rss_mb())


def _oracle(scale: float) -> Any:
    return open_oracle_process(
        session_limit=SESSIONS, service_time="2-6", sync_time="1", scale=scale, rows_per_id=1, lots=200_000
    )


def _checks(idle: Figures, shared: Figures, lanes: Figures, million: dict[str, Any]) -> dict[str, Any]:
    idle_p95_s = percentile(idle.sync_s, 95) or 0.0
    slowest_s = max(lanes.sync_s, default=float("inf"))
    starved_s = max(shared.sync_s, default=0.0)
    slower = (lanes.bulk_total_s or 0.0) / (shared.bulk_total_s or 1.0)
    return {
        "lanes_sync_max_over_idle_p95": _at_most(slowest_s / idle_p95_s if idle_p95_s else float("inf"), 2.0),
        "lanes_missed_cycles": _at_most(lanes.missed_cycles, 0),
        "lanes_loop_lag_max_ms": _at_most(lanes.loop_lag_max_s * 1000, 100.0),
        "lanes_bulk_over_shared_bulk": _at_most(slower, 1.35),
        "shared_sync_max_over_lanes_sync_max": _at_least(starved_s / slowest_s, 5.0),
        "million_rows_rss_above_idle_mb": _at_most(million["rss_above_idle_mb"], 300.0),
        "bulk_complete": {
            "value": [shared.quality, lanes.quality, million["bulk_quality"]],
            "ok": {shared.quality, lanes.quality, million["bulk_quality"]} == {"complete"},
        },
    }


def _at_most(value: float, limit: float) -> dict[str, Any]:
    return {"value": round(value, 2), "at_most": limit, "ok": value <= limit}


def _at_least(value: float, limit: float) -> dict[str, Any]:
    return {"value": round(value, 2), "at_least": limit, "ok": value >= limit}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
