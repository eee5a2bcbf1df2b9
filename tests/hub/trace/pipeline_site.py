"""A trace on the simulated Oracle, for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr

from hub.oracle.connection import Account
from hub.oracle.fleet_cap import SessionCap
from hub.oracle.lanes import Deadlines
from hub.oracle.oracle_lanes import OracleLanes
from hub.runtime.clock import Clock
from hub.simulators.oracle import OracleServer
from hub.trace.cache import EventCache
from hub.trace.jobs import JobLimits
from hub.trace.pipeline import TracePipeline
from hub.trace.source import OracleSource

QUICK = Deadlines(acquire_s=5, connect_s=2, query_s=5, close_s=1)


def ids(count: int, first: int = 0) -> list[str]:
    """Container ids of the test Oracle's tree."""
    return [f"48801a80{number:08x}" for number in range(first, first + count)]


def lanes_to(server: OracleServer, cap: SessionCap | None = None, **options: Any) -> OracleLanes:
    """Lanes with deadlines for tests."""
    account = Account(server.dsn, "reader", SecretStr("secret"), program="hub-test")
    return OracleLanes(account, sync=QUICK, bulk=options.pop("bulk", QUICK), cap=cap, **options)


@asynccontextmanager
async def open_trace(
    server: OracleServer,
    folder: Path,
    cache: EventCache | None = None,
    limits: JobLimits | None = None,
    lanes: OracleLanes | None = None,
    workers: int = 2,
) -> AsyncIterator[TracePipeline]:
    """A trace that runs."""
    clock = Clock()
    lanes = lanes or lanes_to(server)
    trace = TracePipeline(
        OracleSource(lanes.bulk),
        folder / "trace",
        clock,
        UTC,
        cache or EventCache(None, clock),
        workers=workers,
        limits=limits,
        lanes=lanes,
        feed_id="fab",
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trace.run)
        with anyio.fail_after(60):
            while not trace.jobs.is_running:
                await anyio.sleep(0.001)
        yield trace
        tasks.cancel_scope.cancel()
