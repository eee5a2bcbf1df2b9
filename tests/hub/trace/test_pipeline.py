"""The pipeline on the real driver: inline answers, jobs, and cached results."""

import json
from datetime import datetime
from pathlib import Path

import anyio
import pytest

from hub.oracle.admission import LaneBusy
from hub.oracle.breaker import BreakerState
from hub.oracle.connection import OracleError
from hub.oracle.lanes import Deadlines
from hub.runtime.clock import Clock
from hub.simulators.oracle import Binds, Column, OraError, ResultSet, open_oracle
from hub.simulators.oracle.encoding import Raw, Scalar, date_bytes
from hub.simulators.oracle.tables import Table
from hub.trace import batch_runner
from hub.trace.cache import MAX_IDS, EventCache
from hub.trace.domains import DomainName
from hub.trace.jobs import Job, JobStatus
from hub.trace.pipeline import INLINE_IDS, Inline
from hub.trace.quality import Status
from tests.elapsed import takes_less_than
from tests.hub.trace.pipeline_site import ids, lanes_to, open_trace
from tests.redis_server import eventually

pytestmark = pytest.mark.anyio

HISTORY, HOLDS = DomainName.HISTORY, DomainName.HOLDS
VIEW = "SELECT * FROM DWH.DW_MES_EQUIPMENTSTATUS_WIP_V"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_runner, "_RETRY_S", 0.01)


async def rows(result: Inline | Job, part: str) -> list[dict[str, object]]:
    data = b"".join([piece async for piece in result.spool.stream(part)])
    return [json.loads(line) for line in data.splitlines()]


async def test_from_a_lot_to_its_events(tmp_path: Path) -> None:
    async with open_oracle() as server, open_trace(server, tmp_path) as trace:
        seeds = await trace.seed("query_tool", {"lot_id": ["GA00005000-A00-001"]})
        assert seeds.quality.is_complete
        assert list(seeds.found) == ids(1, 5000)
        lineage = await trace.lineage(list(seeds.found), "ancestors")
        assert isinstance(lineage, Inline)
        nodes = [str(node["container_id"]) for node in await rows(lineage, "nodes")]
        assert len(nodes) > 1
        events = await trace.events(nodes, [HISTORY, HOLDS])
        assert isinstance(events, Inline)
        assert events.spool.rows == {"history": 3 * len(nodes), "holds": 3 * len(nodes)}
        assert events.work.overall().status is Status.COMPLETE


async def test_more_ids_than_that_become_a_job(tmp_path: Path) -> None:
    async with open_oracle() as server, open_trace(server, tmp_path) as trace:
        assert isinstance(await trace.events(ids(INLINE_IDS), [HISTORY]), Inline)
        job = await trace.events(ids(INLINE_IDS + 1), [HISTORY])
        assert isinstance(job, Job)
        with anyio.fail_after(60):
            await job.ended.wait()
        assert (job.status, job.quality.observed_rows) == (JobStatus.FINISHED, 3 * (INLINE_IDS + 1))
        assert job.work.progress() == {"batches_done": 2, "batches": 2, "rows": 3 * (INLINE_IDS + 1)}


async def test_deleting_a_job_cuts_its_statements_off_on_the_server(tmp_path: Path) -> None:
    async with open_oracle() as server, open_trace(server, tmp_path) as trace:
        server.faults.hang = "LOTWIPHISTORY"
        job = await trace.events(ids(5000), [HISTORY])
        assert isinstance(job, Job)
        await eventually(lambda: server.counters.executing == 2)
        with takes_less_than(5):
            await trace.jobs.delete(job)
        await eventually(lambda: server.counters.executing == 0)
        assert (job.status, job.quality.document()["reasons"]) == (JobStatus.CANCELLED, ["cancelled"])


async def test_the_same_question_is_answered_from_memory(tmp_path: Path) -> None:
    async with open_oracle() as server, open_trace(server, tmp_path) as trace:
        first = await trace.events(ids(20), [HISTORY, HOLDS])
        asked = sum(server.counters.statements.values())
        again = await trace.events(list(reversed(ids(20))), [HOLDS, HISTORY])
        assert sum(server.counters.statements.values()) == asked
        assert await rows(first, "history") == await rows(again, "history")
        assert again.work.overall().document() == first.work.overall().document()
        await trace.events(ids(21), [HISTORY])
        assert sum(server.counters.statements.values()) == asked + 1


async def test_an_incomplete_answer_is_never_kept(tmp_path: Path) -> None:
    async with open_oracle() as server, open_trace(server, tmp_path) as trace:
        server.faults.errors = {"HOLDRELEASE": OraError(942, "no table")}
        partial = await trace.events(ids(20), [HISTORY, HOLDS])
        assert isinstance(partial, Inline)
        assert partial.work.overall().status is Status.PARTIAL
        server.faults.errors = {}
        whole = await trace.events(ids(20), [HISTORY, HOLDS])
        assert isinstance(whole, Inline)
        assert whole.work.overall().status is Status.COMPLETE
        assert whole.spool.rows["holds"] == 60


async def test_a_very_large_request_passes_both_caches_by(tmp_path: Path) -> None:
    cache = EventCache(None, Clock())
    async with open_oracle() as server, open_trace(server, tmp_path, cache) as trace:
        job = await trace.events(ids(MAX_IDS + 1), [HISTORY])
        assert isinstance(job, Job)
        with anyio.fail_after(60):
            await job.ended.wait()
        assert job.quality.is_complete
        assert (cache.counters.hits, cache.counters.misses) == (0, 0)


async def test_a_busy_lane_refuses_what_would_be_answered_at_once(tmp_path: Path) -> None:
    async with open_oracle() as server:
        server.faults.hang = "LOTWIPHISTORY"
        lanes = lanes_to(server, bulk=Deadlines(acquire_s=0.1, query_s=30), bulk_sessions=1)
        async with open_trace(server, tmp_path, lanes=lanes) as trace, anyio.create_task_group() as tasks:
            tasks.start_soon(trace.events, ids(5), [HISTORY])
            await eventually(lambda: server.counters.executing == 1)
            with takes_less_than(5), pytest.raises(LaneBusy):
                await trace.events(ids(5, 100), [HISTORY])
            tasks.cancel_scope.cancel()


async def test_bulk_that_only_fails_leaves_the_breaker_of_the_sync_closed(tmp_path: Path) -> None:
    async with open_oracle() as server:
        lanes = lanes_to(server)
        async with open_trace(server, tmp_path, lanes=lanes) as trace:
            server.faults.errors = {"LOTWIPHISTORY": OraError(3113, "end-of-file on communication channel")}
            for number in range(8):
                try:
                    await trace.events(ids(5, number * 10), [HISTORY])
                except LaneBusy:
                    break
            assert lanes.bulk.breaker.state is BreakerState.OPEN
            assert lanes.sync.breaker.state is BreakerState.CLOSED
            assert len((await lanes.sync.fetch(VIEW)).rows) > 0
            assert await lanes.ping() > 0


async def test_bulk_that_hangs_does_not_touch_the_sync_or_the_loop(tmp_path: Path) -> None:
    async with open_oracle() as server:
        server.faults.hang = "LOTWIPHISTORY"
        lanes = lanes_to(server)
        async with open_trace(server, tmp_path, lanes=lanes, workers=4) as trace:
            job = await trace.events(ids(20_000), [HISTORY])
            assert isinstance(job, Job)
            await eventually(lambda: server.counters.executing == 4)
            with anyio.fail_after(60):
                for _ in range(5):
                    assert len((await lanes.sync.fetch(VIEW)).rows) > 0
                assert await lanes.ping() > 0
            assert (job.status, server.counters.executing) == (JobStatus.RUNNING, 4)


async def test_a_database_that_is_away_is_a_failed_result_and_then_a_refusal(tmp_path: Path) -> None:
    async with open_oracle() as server, open_trace(server, tmp_path) as trace:
        server.faults.connect = "refuse"
        seeds = await trace.seed("query_tool", {"lot_id": ["GA00000001-A00-001"]})
        assert (seeds.quality.status, seeds.found) == (Status.FAILED, {})
        with pytest.raises(LaneBusy):
            for _ in range(5):
                await trace.seed("query_tool", {"lot_id": ["GA00000001-A00-001"]})
        with pytest.raises(OracleError):
            await trace.ping()


def _with_bad_cells(bad: Scalar) -> Table:
    """The rows of five containers, of which one has a date of `bad`, and one half a character."""
    columns = (
        *(Column(name) for name in ("CONTAINERID", "CONTAINERNAME", "WORKCENTERNAME", "EQUIPMENTID")),
        Column("EQUIPMENTNAME"),
        *(Column(name) for name in ("SPECNAME", "FINISHEDRUNCARD", "PJ_WORKORDER", "PJ_TYPE", "PJ_BOP")),
        *(Column(name) for name in ("PRODUCTLINENAME", "WAFER_LOT_ID")),
        *(Column(name, "NUMBER") for name in ("TRACKINQTY", "TRACKOUTQTY")),
        *(Column(name, "DATE") for name in ("TRACKINTIMESTAMP", "TRACKOUTTIMESTAMP")),
    )
    good = datetime(2026, 2, 25, 8)  # noqa: DTZ001 - the plant's local time has no zone
    rows: list[tuple[Scalar, ...]] = [
        (each, "name", *["x"] * 9, Raw("é".encode()[:1]) if number == 2 else "y", 5, 6, good, good)
        for number, each in enumerate(ids(5))
    ]
    rows[3] = (*rows[3][:-2], bad, good)
    return Table(columns, rows)


@pytest.mark.parametrize("knows_to_char", [True, False])
async def test_a_bad_cell_is_null_and_makes_the_answer_partial(tmp_path: Path, knows_to_char: bool) -> None:
    async with open_oracle() as server, open_trace(server, tmp_path) as trace:
        table = server.plant.tables["DW_MES_LOTWIPHISTORY"] = _with_bad_cells(date_bytes(-4712))
        table.knows_to_char = knows_to_char
        found = await trace.events(ids(5), [HISTORY])
        assert isinstance(found, Inline)
        lines = await rows(found, "history")
        assert [line["CONTAINERID"] for line in lines] == ids(5)
        assert [line["TRACKINTIMESTAMP"] is None for line in lines] == [False, False, False, True, False]
        assert lines[2]["WAFER_LOT_ID"] == "\N{REPLACEMENT CHARACTER}"
        quality = found.work.overall().document()
        assert (quality["status"], quality["reasons"]) == ("partial", ["unreadable_cells"])
        assert (quality["unreadable_cells"], quality["observed_rows"]) == (1, 5)
        table = server.plant.tables["DW_MES_LOTWIPHISTORY"] = _with_bad_cells(None)
        mended = await trace.events(ids(5), [HISTORY])
        assert mended.work.overall().is_complete


async def test_data_that_the_driver_cannot_read_at_all_fails_its_batches_and_not_the_trace(tmp_path: Path) -> None:
    class Misnamed(Column):
        def described(self, position: int) -> bytes:
            return super().described(position).replace(b"CONTAINERID", b"CONTAINER\xffD")

    def broken(sql: str, binds: Binds, session: object) -> ResultSet | None:
        return ResultSet([Misnamed("CONTAINERID")], []) if "LOTWIPHISTORY" in sql else None

    async with open_oracle(handler=broken) as server, open_trace(server, tmp_path) as trace:
        for _ in range(6):
            job = await trace.events(ids(INLINE_IDS + 1), [HISTORY, HOLDS])
            assert isinstance(job, Job)
            with anyio.fail_after(60):
                await job.ended.wait()
            assert (job.status, job.quality.status) == (JobStatus.FINISHED, Status.PARTIAL)
            assert {failed.code for failed in job.quality.failed} == {"DRIVER"}
        inline = await trace.events(ids(3), [HISTORY])
        assert inline.work.overall().status is Status.FAILED
        assert trace.jobs.is_running
        assert len((await trace.seed("query_tool", {"lot_id": ["GA00005000-A00-001"]})).found) == 1
