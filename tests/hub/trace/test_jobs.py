from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from hub.trace.batch_runner import BusyPolicy
from hub.trace.jobs import Job, JobLimits, JobRefused, Jobs, JobStatus
from hub.trace.quality import Quality, Status
from hub.trace.spool import Spool
from tests.hub.equipment.scripted import SetClock

pytestmark = pytest.mark.anyio


class Scripted:
    """Work that ends when it is told to."""

    kind = "events"
    parts = ("history",)

    def __init__(self, fails: Exception | None = None) -> None:
        self.go_on = anyio.Event()
        self.fails = fails
        self.reason: str | None = None

    async def run(self, spool: Spool, policy: BusyPolicy) -> None:
        await self.go_on.wait()
        if self.fails is not None:
            raise self.fails
        with spool.lines() as lines:
            lines.write(b'{"n":1}\n', 1)
            await spool.add("history", lines)

    def progress(self) -> dict[str, int]:
        return {"batches_done": 0, "batches": 1, "rows": 0}

    def quality(self, part: str) -> Quality:
        return Quality(unfinished=self.reason)

    def overall(self) -> Quality:
        return self.quality("history")

    def release(self) -> None:
        self.is_released = True

    def stopped(self, reason: str) -> None:
        self.reason = reason


@asynccontextmanager
async def open_jobs(folder: Path, sweep_s: float = 30.0, **limits: int) -> AsyncIterator[tuple[Jobs, SetClock]]:
    clock = SetClock()
    jobs = Jobs(folder / "trace", clock, JobLimits(**limits), resident=lambda: 500)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(jobs.run, sweep_s)
        while not jobs.is_running:
            await anyio.sleep(0.001)
        yield jobs, clock
        tasks.cancel_scope.cancel()


async def ended(job: Job) -> JobStatus:
    with anyio.fail_after(60):
        await job.ended.wait()
    return job.status


async def test_a_job_runs_on_after_the_reply_and_its_rows_are_there(tmp_path: Path) -> None:
    async with open_jobs(tmp_path) as (jobs, _):
        work = Scripted()
        job = await jobs.start(work)
        assert (job.status, job.expires_at) == (JobStatus.RUNNING, None)
        assert jobs.get(job.id) is job
        work.go_on.set()
        assert await ended(job) is JobStatus.FINISHED
        assert await job.spool.page("history", 0, 10) == ([b'{"n":1}\n'], None)


async def test_cancelling_stops_the_work_and_removes_its_rows_but_the_job_is_known(tmp_path: Path) -> None:
    async with open_jobs(tmp_path) as (jobs, _):
        job = await jobs.start(Scripted())
        with anyio.fail_after(60):
            await jobs.delete(job)
        assert (job.status, job.quality.status) == (JobStatus.CANCELLED, Status.PARTIAL)
        assert job.quality.document()["reasons"] == ["cancelled"]
        assert jobs.get(job.id) is job
        assert [path async for path in anyio.Path(tmp_path / "trace").iterdir()] == []


async def test_deleting_an_ended_job_forgets_it(tmp_path: Path) -> None:
    async with open_jobs(tmp_path) as (jobs, _):
        work = Scripted()
        job = await jobs.start(work)
        work.go_on.set()
        await ended(job)
        await jobs.delete(job)
        assert jobs.get(job.id) is None


async def test_a_full_disk_fails_the_job_and_not_the_others(tmp_path: Path) -> None:
    async with open_jobs(tmp_path) as (jobs, _):
        broken, good = Scripted(OSError(28, "No space left on device")), Scripted()
        first, second = await jobs.start(broken), await jobs.start(good)
        broken.go_on.set()
        assert await ended(first) is JobStatus.FAILED
        assert first.quality.document()["reasons"] == ["disk"]
        good.go_on.set()
        assert await ended(second) is JobStatus.FINISHED


async def test_a_bug_at_the_data_of_one_job_fails_that_job_alone(tmp_path: Path) -> None:
    async with open_jobs(tmp_path) as (jobs, _):
        kept, broken, other = Scripted(), Scripted(ExceptionGroup("work", [KeyError("odd")])), Scripted()
        kept.go_on.set()
        finished = await jobs.start(kept)
        await ended(finished)
        for _ in range(6):
            broken.go_on.set()
            crashed = await jobs.start(broken)
            assert await ended(crashed) is JobStatus.FAILED
        assert crashed.quality.document()["reasons"] == ["crashed"]
        assert crashed.error == "the hub failed in this job; its log has the details"
        good = await jobs.start(other)
        other.go_on.set()
        assert await ended(good) is JobStatus.FINISHED
        assert jobs.is_running
        assert await finished.spool.page("history", 0, 10) == ([b'{"n":1}\n'], None)


async def test_too_many_jobs_are_refused(tmp_path: Path) -> None:
    async with open_jobs(tmp_path, running=1) as (jobs, _):
        await jobs.start(Scripted())
        with pytest.raises(JobRefused, match="1 jobs run") as refusal:
            await jobs.start(Scripted())
        assert refusal.value.retry_after_s > 0


async def test_too_many_results_are_refused_rather_than_forgotten_early(tmp_path: Path) -> None:
    async with open_jobs(tmp_path, kept=1) as (jobs, _):
        work = Scripted()
        job = await jobs.start(work)
        work.go_on.set()
        await ended(job)
        with pytest.raises(JobRefused, match="results are kept"):
            await jobs.start(Scripted())
        assert jobs.get(job.id) is job


async def test_a_job_that_ended_holds_nothing_of_its_ids(tmp_path: Path) -> None:
    async with open_jobs(tmp_path) as (jobs, _):
        finished, cancelled = Scripted(), Scripted()
        finished.go_on.set()
        await ended(await jobs.start(finished))
        await jobs.delete(await jobs.start(cancelled))
        assert finished.is_released
        assert cancelled.is_released


async def test_one_owner_cannot_take_what_is_there_for_all(tmp_path: Path) -> None:
    async with open_jobs(tmp_path, running=4, own_running=2, kept=6, own_kept=3) as (jobs, _):
        done = [Scripted() for _ in range(3)]
        for work in done:
            work.go_on.set()
            await ended(await jobs.start(work, "greedy"))
        with pytest.raises(JobRefused, match="3 results of yours are kept already; delete one"):
            await jobs.start(Scripted(), "greedy")
        await jobs.start(Scripted(), "modest")
        await jobs.start(Scripted(), "modest")
        with pytest.raises(JobRefused, match="2 jobs of yours run already"):
            await jobs.start(Scripted(), "modest")
        await jobs.start(Scripted())


async def test_jobs_begun_at_once_do_not_slip_past_the_limits(tmp_path: Path) -> None:
    async with open_jobs(tmp_path, running=2, own_running=2) as (jobs, _):
        refused = 0

        async def begin() -> None:
            nonlocal refused
            try:
                await jobs.start(Scripted(), "greedy")
            except JobRefused:
                refused += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(begin)
        assert (jobs.running, refused) == (2, 8)


async def test_no_job_begins_above_the_memory_limit(tmp_path: Path) -> None:
    async with open_jobs(tmp_path, max_rss=499) as (jobs, _):
        with pytest.raises(JobRefused, match="MB"):
            await jobs.start(Scripted())
        assert (jobs.refused, jobs.running) == (1, 0)
    async with open_jobs(tmp_path, max_rss=500) as (jobs, _):
        assert (await jobs.start(Scripted())).status is JobStatus.RUNNING


async def test_no_job_begins_while_too_much_is_kept_on_disk(tmp_path: Path) -> None:
    async with open_jobs(tmp_path, max_spool=7) as (jobs, _):
        work = Scripted()
        job = await jobs.start(work)
        work.go_on.set()
        await ended(job)
        assert job.spool.bytes == 8
        with pytest.raises(JobRefused, match="of results are kept"):
            await jobs.start(Scripted())
        await jobs.delete(job)
        await jobs.start(Scripted())


async def test_a_job_is_forgotten_an_hour_after_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    async with open_jobs(tmp_path, sweep_s=0.01) as (jobs, clock):
        work = Scripted()
        job = await jobs.start(work)
        work.go_on.set()
        await ended(job)
        assert job.ended_at is not None
        at = job.ended_at + timedelta(minutes=59)
        monkeypatch.setattr(clock, "now", lambda: at)
        await anyio.sleep(0.05)
        assert jobs.get(job.id) is job
        at = job.ended_at + timedelta(minutes=61)
        with anyio.fail_after(60):
            while jobs.get(job.id) is not None or await anyio.Path(job.spool.folder).exists():
                await anyio.sleep(0.005)


async def test_what_an_earlier_process_left_is_removed_at_the_start(tmp_path: Path) -> None:
    left = anyio.Path(tmp_path / "trace" / "job-1")
    await left.mkdir(parents=True)
    async with open_jobs(tmp_path):
        assert not await left.exists()


async def test_a_stop_cancels_running_jobs_and_no_job_is_accepted_afterwards(tmp_path: Path) -> None:
    async with open_jobs(tmp_path) as (jobs, _):
        job = await jobs.start(Scripted())
    assert job.ended.is_set()
    assert job.status is not JobStatus.FINISHED
    with pytest.raises(JobRefused, match="starting or stopping"):
        await jobs.start(Scripted())


async def test_a_short_request_runs_beside_the_jobs_and_raises_only_to_its_caller(tmp_path: Path) -> None:
    async def good() -> int:
        return 7

    async def bad() -> int:
        raise LookupError("odd data")

    async with open_jobs(tmp_path) as (jobs, _):
        assert await jobs.run_inline(good) == 7
        for _ in range(6):
            with pytest.raises(LookupError, match="odd data"):
                await jobs.run_inline(bad)
        assert jobs.is_running
        assert await jobs.run_inline(good) == 7
    with pytest.raises(JobRefused, match="starting or stopping"):
        await jobs.run_inline(good)


async def test_a_short_request_ends_when_its_caller_leaves_and_when_the_trace_stops(tmp_path: Path) -> None:
    ended: list[str] = []

    async def hang() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("work")

    async def ask(jobs: Jobs) -> None:
        with pytest.raises(JobRefused, match="stopping"):
            await jobs.run_inline(hang)
        ended.append("caller")

    async with anyio.create_task_group() as callers:
        async with open_jobs(tmp_path) as (jobs, _):
            with anyio.move_on_after(0.05):
                await jobs.run_inline(hang)
            assert ended == ["work"]
            callers.start_soon(ask, jobs)
            await anyio.wait_all_tasks_blocked()
    assert ended == ["work", "work", "caller"]
