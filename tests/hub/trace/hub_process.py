"""A hub's bulk reads in a process of its own.

`python -m tests.hub.trace.hub_process DSN REDIS PREFIX CAP FIRST COUNT` reads the history of COUNT ids of the test
Oracle from number FIRST on, and prints what came of it.
"""

import json
import sys
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from pydantic import SecretStr

from hub.cache.redis import open_redis
from hub.cache.slots import Slots
from hub.oracle.connection import Account
from hub.oracle.fleet_cap import FleetCap
from hub.oracle.oracle_lanes import OracleLanes
from hub.trace.batch_runner import BusyPolicy
from hub.trace.domains import DomainName
from hub.trace.history import BulkHistory, HistoryRun
from hub.trace.source import OracleSource
from hub.trace.spool import Spool
from tests.hub.trace.pipeline_site import ids


async def read(*arguments: str) -> None:
    dsn, redis_url, prefix, cap, first, count = arguments
    async with open_redis(redis_url, prefix) as redis:
        fleet = FleetCap(Slots(redis, "bulk", int(cap)))
        lanes = OracleLanes(Account(dsn, "reader", SecretStr("secret")), cap=fleet)
        run = HistoryRun(ids(int(count), int(first)), [DomainName.HISTORY])
        with TemporaryDirectory() as folder:
            spool = Spool(Path(folder) / "spool")
            await spool.open(run.domains)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lanes.bulk.run)
                await BulkHistory(OracleSource(lanes.bulk), UTC, 4).fetch(run, spool, BusyPolicy(60))
                tasks.cancel_scope.cancel()
        print(json.dumps(run.quality(DomainName.HISTORY).document()))


if __name__ == "__main__":
    anyio.run(read, *sys.argv[1:])
