"""Bulk history through the real driver: complete batches or none, and limits that the result names."""

import json
from collections import Counter
from datetime import UTC
from pathlib import Path

import anyio
import pytest

from hub.simulators.oracle import History, OracleServer, OraError, Plant, open_oracle
from hub.trace import batch_runner
from hub.trace.batch_runner import BusyPolicy
from hub.trace.domains import DomainName
from hub.trace.history import BulkHistory, HistoryRun
from hub.trace.quality import Status
from hub.trace.source import OracleSource
from hub.trace.spool import Spool
from tests.hub.trace.pipeline_site import ids, lanes_to
from tests.redis_server import eventually

pytestmark = pytest.mark.anyio

HISTORY, HOLDS, JOBS = DomainName.HISTORY, DomainName.HOLDS, DomainName.JOBS


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_runner, "_RETRY_S", 0.01)


async def fetch(server: OracleServer, run: HistoryRun, folder: Path, workers: int = 2) -> Spool:
    spool = Spool(folder / "spool")
    await spool.open(run.domains)
    lanes = lanes_to(server)
    try:
        history = BulkHistory(OracleSource(lanes.bulk), UTC, workers)
        await history.fetch(run, spool, BusyPolicy(0.01))
    finally:
        await lanes.bulk.close_idle()
    return spool


async def rows(spool: Spool, name: DomainName) -> list[dict[str, object]]:
    data = b"".join([piece async for piece in spool.stream(name)])
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize("name", DomainName)
async def test_every_domain_comes_with_its_columns_and_all_its_rows(name: DomainName, tmp_path: Path) -> None:
    async with open_oracle() as server:
        run = HistoryRun(ids(120), [name])
        found = await rows(await fetch(server, run, tmp_path), name)
        assert len(found) == 3 * 120
        assert Counter(row["CONTAINERID"] for row in found) == dict.fromkeys(ids(120), 3)
        assert run.quality(name).document() == {
            "status": "complete",
            "reasons": [],
            "failed_ranges": [],
            "observed_rows": 360,
            "truncated": False,
        }


async def test_many_ids_are_few_statements_with_few_texts(tmp_path: Path) -> None:
    async with open_oracle() as server:
        run = HistoryRun([*ids(2500), *ids(100)], [HISTORY, HOLDS])
        await fetch(server, run, tmp_path)
        assert (len(run.ids), len(run.batches)) == (2500, 6)
        assert sum(server.counters.statements.values()) == 6
        assert server.counters.rows == 6 * 2500
        assert server.counters.peak_executing <= 2
        assert server.counters.peak_sessions <= 2


async def test_a_batch_that_breaks_once_is_read_again_and_its_rows_are_there_once(tmp_path: Path) -> None:
    async with open_oracle(plant=Plant(10, 10, 1, History(5))) as server:
        server.faults.drop_after_rows = 2500  # 999 ids have 4,995 rows; 100 ids have 500
        run = HistoryRun(ids(1099), [HISTORY])

        async def mend() -> None:
            await eventually(lambda: server.counters.dropped == 1)
            server.faults.drop_after_rows = None

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mend)
            found = await rows(await fetch(server, run, tmp_path, workers=1), HISTORY)
        assert server.counters.dropped == 1
        assert len(found) == 5 * 1099
        assert run.quality(HISTORY).status is Status.COMPLETE


async def test_a_batch_that_fails_twice_is_reported_and_leaves_no_rows(tmp_path: Path) -> None:
    async with open_oracle(plant=Plant(10, 10, 1, History(5))) as server:
        server.faults.drop_after_rows = 2500
        run = HistoryRun(ids(1099), [HISTORY])
        found = await rows(await fetch(server, run, tmp_path), HISTORY)
        document = run.quality(HISTORY).document()
        assert server.counters.dropped == 2
        assert {row["CONTAINERID"] for row in found} == set(ids(100, 999))
        assert (document["status"], document["reasons"]) == ("partial", ["batch_failed"])
        assert document["observed_rows"] == 500
        assert document["failed_ranges"] == [
            {"domain": "history", "first": ids(1)[0], "last": ids(999)[-1], "count": 999, "code": "DPY-4011"}
        ]


async def test_a_domain_whose_table_is_gone_fails_alone(tmp_path: Path) -> None:
    async with open_oracle() as server:
        server.faults.errors = {"HOLDRELEASE": OraError(942, "table or view does not exist")}
        run = HistoryRun(ids(50), [HISTORY, HOLDS])
        await fetch(server, run, tmp_path)
        assert run.quality(HISTORY).status is Status.COMPLETE
        assert run.quality(HOLDS).status is Status.FAILED
        assert run.quality(HOLDS).failed[0].code == "ORA-00942"


async def test_the_row_cap_ends_the_reading_and_says_so(tmp_path: Path) -> None:
    async with open_oracle(plant=Plant(10, 10, 1, History(20))) as server:
        run = HistoryRun(ids(5000), [HISTORY], row_cap=3000)
        found = await rows(await fetch(server, run, tmp_path), HISTORY)
        document = run.quality(HISTORY).document()
        assert len(found) == document["observed_rows"] <= 3000
        assert (document["status"], document["truncated"]) == ("truncated", True)
        assert document["reasons"] == ["row_cap"]
        assert server.counters.rows < 5000 * 20 / 2


async def test_jobs_are_asked_fifty_ids_at_a_time_and_matched_exactly(tmp_path: Path) -> None:
    async with open_oracle() as server:
        wanted = [*ids(120), "48801a8"]  # the last is part of every other one
        run = HistoryRun(wanted, [JOBS])
        found = await rows(await fetch(server, run, tmp_path), JOBS)
        assert len(run.batches) == 3
        assert all(len(batch.ids) <= 50 for batch in run.batches)
        assert all(row["CONTAINERID"] == row["CONTAINERIDS"] for row in found)
        assert Counter(row["CONTAINERID"] for row in found)[ids(1)[0]] == 3


async def test_cancelling_ends_the_statements_and_the_quality_says_so(tmp_path: Path) -> None:
    async with open_oracle() as server:
        server.faults.hang = "LOTWIPHISTORY"
        run = HistoryRun(ids(5000), [HISTORY])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch, server, run, tmp_path)
            await eventually(lambda: server.counters.executing == 2)
            started = anyio.current_time()
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - started < 2
        run.stopped("cancelled")
        await eventually(lambda: not server.sessions)
        assert run.quality(HISTORY).status is Status.PARTIAL
        assert run.quality(HISTORY).document()["reasons"] == ["cancelled"]
