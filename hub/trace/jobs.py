"""Runs long requests as jobs: they continue after the reply, can be cancelled, and keep their results for an hour.

    start ──> RUNNING ──done──> FINISHED            RUNNING ──an error──> FAILED, with the results so far
    RUNNING ──delete, or the hub stops──> CANCELLED
    ended ──one hour, or delete──> forgotten, and its files removed

The limits are checked, and the job is registered, without an await in between.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from secrets import token_hex
from traceback import clear_frames, format_exception
from typing import Generic, TypeVar

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskGroup

from hub.runtime.clock import Clock
from hub.runtime.memory import resident_bytes
from hub.trace.batch_runner import BusyPolicy
from hub.trace.quality import Quality
from hub.trace.spool import Spool, remove_leftovers
from hub.trace.work import Work

log = structlog.get_logger()
T = TypeVar("T")

_CANCEL_S = 2.0
"""Seconds in which cancelled work must drop its connections."""

MAX_RSS = 1_500_000_000
MAX_SPOOL = 10_000_000_000
LIFE = timedelta(hours=1)
_JOB_POLICY = BusyPolicy(wait_s=60.0)


class JobRefused(Exception):
    """No further job is accepted now; the text says why. Retry in `retry_after_s` seconds."""

    def __init__(self, text: str, retry_after_s: float) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class JobStatus(StrEnum):
    """The state of a job. `failed`: it stopped early; the results until then are available."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Job:
    """One long request of the caller `owner`. It expires an hour after its end."""

    id: str
    work: Work
    spool: Spool
    created_at: datetime
    owner: str | None = None
    status: JobStatus = JobStatus.RUNNING
    error: str | None = None  # why it failed
    ended_at: datetime | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def expires_at(self) -> datetime | None:
        """When it is removed; None while it runs."""
        return None if self.ended_at is None else self.ended_at + LIFE

    @property
    def quality(self) -> Quality:
        """The quality of the whole result."""
        return self.work.overall()


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The most jobs at once and results kept, and the bytes on disk and in memory above which no job starts.

    `max_rss` None: no limit. One owner may have `own_running` and `own_kept` of them and a quarter of the disk
    space, so that the others have a share too.
    """

    running: int = 4
    kept: int = 32
    own_running: int = 2
    own_kept: int = 8
    max_spool: int = MAX_SPOOL
    max_rss: int | None = MAX_RSS


class _Inline(Generic[T]):
    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self.results: list[T] = []
        self.error: Exception | None = None
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        self._work = work

    async def run(self) -> None:
        try:
            with self.scope:
                self.results.append(await self._work())
        except Exception as error:  # noqa: BLE001 - raised again in the task of the request
            self.error = error
        finally:
            self.ended.set()


class Jobs:
    """Runs jobs in the task group of `run()`. They end with it, and the next `run()` removes their files."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        limits: JobLimits,
        resident: Callable[[], int | None] = resident_bytes,
    ) -> None:
        self.folder = folder
        self.refused = 0
        self._clock = clock
        self._limits = limits
        self._resident = resident
        self._jobs: dict[str, Job] = {}
        self._tasks: TaskGroup | None = None

    @property
    def is_running(self) -> bool:
        """True while jobs are accepted."""
        return self._tasks is not None

    @property
    def running(self) -> int:
        """The number of running jobs."""
        return sum(job.status is JobStatus.RUNNING for job in self._jobs.values())

    async def run(self, sweep_s: float = 30.0) -> None:
        """Accept jobs, and remove expired ones every `sweep_s` seconds, until cancelled."""
        self._jobs.clear()
        await to_thread.run_sync(remove_leftovers, self.folder)
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                while True:
                    await anyio.sleep(sweep_s)
                    await self._remove_expired()
        finally:
            self._tasks = None

    async def start(self, work: Work, owner: str | None = None) -> Job:
        """Start a job. Raises `JobRefused`; OSError when its files cannot be created."""
        self._check_running()
        await self._check_memory()
        self._check(owner)  # last: nothing is awaited between the count and the new job
        job = Job(token_hex(8), work, Spool(self.folder / f"job-{token_hex(8)}"), self._clock.now(), owner)
        self._jobs[job.id] = job
        try:
            await job.spool.open(work.parts)
        except BaseException:
            del self._jobs[job.id]
            raise
        if self._tasks is None:
            del self._jobs[job.id]
            raise self._refusal("the hub is stopping", 5.0)
        self._tasks.start_soon(self._run_job, job, name=f"trace/{job.id}")
        return job

    async def run_inline(self, work: Callable[[], Awaitable[T]]) -> T:
        """What the work of a short request returns or raises. Raises `JobRefused` when the hub stops.

        It runs in the task group of `run()`, so that a stop ends its statements in order; cancelling the caller
        cancels it too.
        """
        if self._tasks is None:
            raise self._refusal("the hub is starting or stopping", 5.0)
        running = _Inline(work)
        self._tasks.start_soon(running.run, name="trace/inline")
        try:
            await running.ended.wait()
        finally:
            running.scope.cancel()
            with anyio.move_on_after(_CANCEL_S, shield=True):
                await running.ended.wait()
        if running.error is not None:
            raise running.error
        if not running.results:
            raise self._refusal("the hub is stopping", 5.0)
        return running.results[0]

    def get(self, job_id: str) -> Job | None:
        """The job, until it is removed; else None."""
        return self._jobs.get(job_id)

    async def delete(self, job: Job) -> None:
        """Cancel a running job, with its statements, and keep it as cancelled; remove one that has ended."""
        if job.status is JobStatus.RUNNING:
            job.scope.cancel()
            await job.ended.wait()
        else:
            self._jobs.pop(job.id, None)
        await job.spool.remove()

    def _check_running(self) -> None:
        if self._tasks is None:
            raise self._refusal("the hub is starting or stopping", 5.0)

    def _check(self, owner: str | None) -> None:
        self._check_running()
        if self.running >= self._limits.running:
            raise self._refusal(f"{self.running} jobs run already", 30.0)
        if len(self._jobs) >= self._limits.kept:
            raise self._refusal(f"{len(self._jobs)} results are kept already; delete one that is not needed", 60.0)
        spooled = sum(job.spool.bytes for job in self._jobs.values())
        if spooled > self._limits.max_spool:
            raise self._refusal(f"{spooled / 1e6:.0f} MB of results are kept already; delete one", 60.0)
        if owner is not None:
            self._check_share([job for job in self._jobs.values() if job.owner == owner])

    def _check_share(self, own: list[Job]) -> None:
        limits = self._limits
        running = sum(job.status is JobStatus.RUNNING for job in own)
        if running >= limits.own_running:
            raise self._refusal(f"{running} jobs of yours run already", 30.0)
        if len(own) >= limits.own_kept:
            raise self._refusal(f"{len(own)} results of yours are kept already; delete one", 60.0)
        spooled = sum(job.spool.bytes for job in own)
        if spooled > limits.max_spool / 4:
            raise self._refusal(f"{spooled / 1e6:.0f} MB of your results are kept already; delete one", 60.0)

    async def _check_memory(self) -> None:
        limit = self._limits.max_rss
        if limit is None:
            return
        resident = await to_thread.run_sync(self._resident)
        if resident is not None and resident > limit:
            text = f"the hub uses {resident / 1e6:.0f} MB of memory, and starts no job above {limit / 1e6:.0f} MB"
            raise self._refusal(text, 60.0)

    def _refusal(self, text: str, retry_after_s: float) -> JobRefused:
        self.refused += 1
        return JobRefused(text, retry_after_s)

    async def _run_job(self, job: Job) -> None:
        status = JobStatus.FAILED
        try:
            with job.scope:
                await _run_and_release(job)
                status = JobStatus.FINISHED
            if job.scope.cancelled_caught:
                status = JobStatus.CANCELLED
                job.work.stopped("cancelled")
        except OSError as error:
            log.error("a trace job cannot write its result", job=job.id, error=str(error))
            job.error = "the result cannot be written; check the disk of hub.data_dir"
            job.work.stopped("disk")
        except Exception as error:  # noqa: BLE001 - a bug in one job must not end the others
            trace = "".join(format_exception(error))
            log.error("trace job crashed", job=job.id, error=type(error).__name__, traceback=trace)
            job.error = "the hub failed in this job; its log has the details"
            job.work.stopped("crashed")
        finally:
            job.status = status
            job.ended_at = self._clock.now()
            job.ended.set()
        log.info("trace job ended", job=job.id, kind=job.work.kind, status=status, rows=job.quality.observed_rows)

    async def _remove_expired(self) -> None:
        now = self._clock.now()
        for job in list(self._jobs.values()):
            if job.expires_at is not None and job.expires_at <= now:
                del self._jobs[job.id]
                await job.spool.remove()


async def _run_and_release(job: Job) -> None:
    """Run the work, then free its ids, in the job and in the traceback of a cancellation.

    The traceback forms a reference cycle with its tasks, which keeps their frames until a full garbage collection;
    the ids of a job of 200,000 are tens of megabytes.
    """
    try:
        await job.work.run(job.spool, _JOB_POLICY)
    except BaseException as error:
        clear_frames(error.__traceback__)
        raise
    finally:
        job.work.release()
