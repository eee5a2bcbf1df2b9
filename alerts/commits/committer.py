"""Commits transitions with their deliveries and announces them; while the database is away, from memory.

Invariants:

1. Transitions are committed in the order in which they were decided, one transaction at a time.
2. A transition is announced once in the life of the process: after its commit, or from memory while storing fails.
3. No state of a rule is committed ahead of the transitions that led to it (see `Uncommitted`).
4. `add` and `put` never wait. What they add during a commit goes into the next one.
5. At most `room` transitions wait; beyond that the oldest is announced, counted as lost and not stored.

States, as in `is_storage_failing`:

              something has waited for 2 s without a commit: everything that waits is announced
    storing ─────────────────────────────────────────────────────────────────────────────────────> failing
       ^                                                             (a new transition is announced at once)
       └───────────────────────────────────────────────────────────────────────────────────────────────┘
              a commit succeeds: dispatchers read SQL again

A commit whose values the database refused is repeated at once; the repeat sets the refused rows aside.
"""

from collections.abc import Callable
from dataclasses import replace

import anyio
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from alerts.commits.announce import Dispatchers, announce, reread_queues
from alerts.commits.commit import Commit
from alerts.commits.counts import AlertCounts
from alerts.commits.uncommitted import Uncommitted
from alerts.delivery.message import documented
from alerts.model.alert import Alert
from alerts.model.clock import Clock
from alerts.model.delivery import Delivery, Notice, deliveries_of
from alerts.model.document import Origin
from alerts.store.database import Database, Write
from alerts.store.unstorable import Refused, is_unstorable

FAILING_AFTER_S = 2.0
_WATCH_S = 0.2
_AGAIN_S = 0.25
_BATCH = 100  # transitions in one transaction at most: building them blocks the event loop
_IN_A_ROW = 16  # transactions before other writers get a turn

OnLatency = Callable[[str, float], None]
"""Called with a stage and its seconds: `decision_to_commit` per transition, `commit` per transaction."""


class Committer:
    """Keeps transitions until they are committed. `is_storage_failing` is True while that takes too long."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        origin: Callable[[], Origin],
        dispatchers: Dispatchers,
        counts: AlertCounts,
        on_latency: OnLatency,
        on_storage: Callable[[], None],
        resumed_s: Callable[[], float],
        room: int,
    ) -> None:
        """`origin` describes the hub in documents. `on_storage` is called when `is_storage_failing` changed.

        `resumed_s` is when the process last ended a standstill of its own, in steady seconds.
        """
        self.is_storage_failing = False
        self._database = database
        self._clock = clock
        self._origin = origin
        self._dispatchers = dispatchers
        self._counts = counts
        self._on_latency = on_latency
        self._on_storage = on_storage
        self._resumed_s = resumed_s
        self._room = room
        self._waiting = Uncommitted()
        self._work_added = anyio.Event()
        self._is_apart = False  # the next commit has a row that was refused for its values
        self._refused: list[Refused] = []

    def __len__(self) -> int:
        """Transitions that are not committed yet."""
        return len(self._waiting)

    def add(self, notice: Notice) -> None:
        """Enqueue a transition; it is committed and announced after those added before it."""
        is_next = self._waiting.is_announced
        self._waiting.add(notice, self._clock.time())
        if self.is_storage_failing and is_next:
            self._announce_unpersisted(notice)
        if len(self._waiting) > self._room:
            self._announce_unpersisted(self._waiting.oldest)
            self._waiting.drop_oldest()
            self._counts.lost_transitions += 1
        self._work_added.set()

    def put(self, alert: Alert) -> None:
        """Enqueue the timers and the peak of an alert, to be stored without a transition."""
        self._waiting.put(alert, self._clock.time())
        self._work_added.set()

    async def run(self) -> None:
        """Commit until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run_commits)
            tasks.start_soon(self._run_watch)

    async def finish(self) -> None:
        """Commit what still waits, until the database fails; called after `run` has ended."""
        while (self._waiting or self._refused) and await self._commit_waiting():
            pass

    async def _run_commits(self) -> None:
        while True:
            await self._work_added.wait()
            self._work_added = anyio.Event()
            while self._waiting:
                if not await self._commit_waiting():
                    await anyio.sleep(_AGAIN_S)

    async def _run_watch(self) -> None:
        while True:
            since_s = self._waiting.since_s
            now_s = self._clock.time()
            is_late = since_s is not None and now_s >= max(since_s, self._resumed_s()) + FAILING_AFTER_S
            if is_late and not self.is_storage_failing:
                self.is_storage_failing = True
                self._on_storage()
            while self.is_storage_failing and (notices := self._waiting.unannounced(_BATCH)):
                for notice in notices:
                    self._announce_unpersisted(notice)
                await anyio.lowlevel.checkpoint()
            await anyio.sleep(_WATCH_S)

    async def _commit_waiting(self) -> bool:
        """Commit what waits and what is added meanwhile, announcing each batch at once; False after a failure."""
        commit: Commit | None = None
        left = _IN_A_ROW

        def next_write() -> Write | None:
            nonlocal commit, left
            if commit is not None:
                commit.documents_stored()
                self._committed(commit)
                commit = None
            left -= 1
            commit = self._begin() if self._waiting and left >= 0 else None
            if commit is None:
                return None
            has_notices = bool(commit.batch.notices)
            return Write(commit.write, has_notices, commit.store_documents if has_notices else None)

        try:
            await self._database.write_in_turn(next_write)
        except (SQLAlchemyError, ValueError, OverflowError) as error:
            if not isinstance(error, DBAPIError) and not is_unstorable(error):
                raise
            self._counts.failed_commits += 1
            if commit is not None and commit.committed_s is not None:
                self._committed(commit)
                return True
            if commit is not None:
                self._waiting.put_back(commit.batch)
            was_apart, self._is_apart = self._is_apart, is_unstorable(error)
            return self._is_apart and not was_apart
        if self._refused:
            await self._database.set_aside(self._refused)
            self._refused = []
        return True

    def _begin(self) -> Commit:
        batch = self._waiting.next_batch(_BATCH)
        announced = [self._waiting.announcement(notice) for notice in batch.notices]
        return Commit(batch, announced, self._clock, self._origin(), self._is_apart)

    def _committed(self, commit: Commit) -> None:
        now_s, batch = self._clock.time(), commit.batch
        committed_s = commit.committed_s or now_s
        self._counts.commits += 1
        self._is_apart = False
        self._refused += commit.refused
        self._counts.set_aside += len(commit.refused)
        self._on_latency("commit", committed_s - commit.started_s)
        stored: list[Delivery] = []
        unstored: list[Delivery] = []
        unannounced = self._waiting.committed(batch, now_s)
        for notice in unannounced:
            self._on_latency("decision_to_commit", committed_s - notice.transition.decided_s)
            (stored if commit.is_stored(notice) else unstored).extend(commit.deliveries(notice))
        self._storage_worked()
        announce(self._dispatchers, stored, persisted=True)
        announce(self._dispatchers, unstored, persisted=False)
        if len(unannounced) < len(batch.notices):
            reread_queues(self._dispatchers, batch.notices)

    def _storage_worked(self) -> None:
        if self.is_storage_failing:
            self.is_storage_failing = False
            self._on_storage()

    def _announce_unpersisted(self, notice: Notice) -> None:
        if self._waiting.announcement(notice) is not None:
            return
        deliveries = deliveries_of(documented(replace(notice, persisted=False), self._origin()))
        self._waiting.announced(notice, deliveries)
        self._counts.announced_unpersisted += 1
        announce(self._dispatchers, deliveries, persisted=False)
