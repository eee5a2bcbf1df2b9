"""All lanes to one database: they share its address, and the wait after a refused logon, and nothing else."""

from dataclasses import replace
from typing import Protocol

import anyio

from hub.oracle.admission import Admission
from hub.oracle.breaker import Breaker
from hub.oracle.bulk import BULK, BulkLane
from hub.oracle.connection import Account, connector
from hub.oracle.fleet_cap import SessionCap
from hub.oracle.lanes import PROBE, Deadlines, LaneCounters, SyncLane, backstop_s
from hub.oracle.logon import Logon

BULK_ROWS = 2000
"""Rows per round trip of a bulk read; between two round trips other tasks run."""


class Lane(Protocol):
    """A lane as metrics read it."""

    name: str
    counters: LaneCounters
    breaker: Breaker
    admission: Admission


class OracleLanes:
    """`sync` serves the feed (1 session), `bulk` the histories, `probe` the health check (1 session).

    `logon` is shared with all other lanes of the account.
    """

    def __init__(
        self,
        account: Account,
        *,
        sync: Deadlines | None = None,
        bulk: Deadlines = BULK,
        bulk_sessions: int = 4,
        cap: SessionCap | None = None,
        logon: Logon | None = None,
    ) -> None:
        sync = sync or Deadlines()
        logon = logon or Logon(account.user, 0.0)
        to_sync = connector(_named(account, "sync"), backstop_s(sync))
        to_bulk = connector(_named(account, "bulk"), backstop_s(bulk), fetch_rows=BULK_ROWS, statements=40)
        to_probe = connector(_named(account, "probe"), backstop_s(PROBE))
        self.sync = SyncLane(logon.through(to_sync, "sync"), sync)
        self.bulk = BulkLane(logon.through(to_bulk, "bulk"), bulk_sessions, bulk, cap=cap)
        self.probe = SyncLane(logon.through(to_probe, "probe"), PROBE, name="probe")

    @property
    def every(self) -> tuple[Lane, ...]:
        """The lanes, for metrics."""
        return (self.sync, self.bulk, self.probe)

    async def ping(self) -> float:
        """The seconds that a logon and a round trip take. Raises `OracleError`."""
        started = anyio.current_time()
        await self.probe.fetch("SELECT 1 FROM DUAL")
        return anyio.current_time() - started


def _named(account: Account, lane: str) -> Account:
    return replace(account, program=f"{account.program}-{lane}")
