"""Writes readings and state changes to SQL in batches, and keeps them in memory while the database fails.

Invariants:

1. Events are written in the order in which they were offered, one transaction at a time.
2. `offer_nowait` never waits. Of more than `size` events the oldest is dropped and counted.
3. A batch stays in `_batch` until its commit is known. Its number is committed with it, so a batch whose commit
   was not confirmed is not written twice.
4. The event loop appends events and drops the oldest, the writer's thread pops them: both rely on single deque
   operations only, which are atomic.

States, as in `failure`:

              a write fails: the batch stays, and is repeated after 0.5 to 5 s
    storing ────────────────────────────────────────────────────────────────────> failing
       ^                                                                             │
       └─────────────────────────────────────────────────────────────────────────────┘
              a batch is committed

A batch with a row that the database refuses for its values is repeated at once, without that row.
"""

from collections import deque
from collections.abc import Callable
from typing import NoReturn

import anyio
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from alerts.store.unstorable import is_unstorable
from hub.database.database import Database
from hub.database.errors import describe_error
from hub.database.quarantine import FULL, QuarantineFull
from hub.database.transaction import refusal
from hub.readings.snapshot import Event, MachineChange, PollFailure, Snapshot, StateChange
from hub.runtime.backoff import backoff
from hub.runtime.clock import Clock
from hub.store.batch import Batch, BatchMaker, sqlite_time
from hub.store.insert import write_batch, write_batch_apart

log = structlog.get_logger()

_SNAPSHOTS_EVERY_S = 1.0
_MINUTES_EVERY_S = 10.0


class Recorder:
    """Writes readings within `interval_s` of being offered, all of a batch in one transaction.

    Latest snapshots follow every second and minutes every ten, because each of their rows would otherwise be
    written again with every batch. After a crash `repair` makes both from the readings.

    A row that every database refuses is put into quarantine, and the others are written.

    While the database fails up to `size` events are kept; then the oldest are dropped and counted in `dropped`.
    `on_failure(failing, reason)` is called when a failure begins, changes its reason, or ends. `on_commit(rows,
    latency_s)` is called after each commit, with the age of its oldest reading.
    """

    def __init__(
        self,
        database: Database,
        boot: int,
        clock: Clock,
        *,
        size: int = 200_000,
        interval_s: float = 0.3,
        batch_size: int = 64,
        first_retry_s: float = 0.5,
        drain_s: float = 3.0,
        keep_raw: bool = False,
        on_failure: Callable[[bool, str], None] = lambda failing, reason: None,
        on_commit: Callable[[int, float], None] = lambda rows, latency_s: None,
    ) -> None:
        self.dropped = 0
        self.written = 0
        self.failure: str | None = None
        self._database = database
        self._boot = boot
        self._clock = clock
        self._size = size
        self._interval_s = interval_s
        self._batch_size = batch_size
        self._first_retry_s = first_retry_s
        self._drain_s = drain_s
        self._on_failure = on_failure
        self.on_commit = on_commit
        self._maker = BatchMaker(sqlite_time if database.dialect == "sqlite" else lambda at: at, keep_raw)
        self._events: deque[Snapshot | StateChange | MachineChange] = deque()
        self._batch: Batch | None = None  # rows from the events, not known to be committed
        self._number = 0  # of that batch
        self._snapshots_due_s = 0.0
        self._minutes_due_s = 0.0
        self._is_draining = False
        self._is_apart = False  # the batch has a row that was refused

    @property
    def pending(self) -> int:
        """Events not yet committed."""
        batch = self._batch
        rows = () if batch is None else (batch.readings, batch.changes, batch.machine_changes)
        return len(self._events) + sum(map(len, rows))

    def offer_nowait(self, event: Event | MachineChange) -> None:
        """Enqueue an event that makes a row; a full queue drops its oldest. A PollFailure makes no row."""
        if isinstance(event, PollFailure):
            return
        if len(self._events) >= self._size:
            self._events.popleft()
            self.dropped += 1
        self._events.append(event)

    async def run(self) -> NoReturn:
        """Writes until cancelled; then writes what is left, for at most `drain_s`."""
        try:
            while True:
                await anyio.sleep(self._interval_s)
                await self._write_all()
        finally:
            self._is_draining = True
            with anyio.move_on_after(self._drain_s, shield=True):
                await self._write_all()
            if self.pending:
                log.error("readings not stored", rows=self.pending, reason=self.failure or "too slow")

    async def _write_all(self) -> None:
        failures = 0
        while self._events or self._batch is not None or self._is_kept_due():
            try:
                await self._database.write(self._write)
            except (SQLAlchemyError, ValueError, OverflowError) as error:
                if is_unstorable(error) and not self._is_apart:
                    self._is_apart = True
                    continue
                if not isinstance(error, SQLAlchemyError):
                    raise
                failures += 1
                self._set_failure(describe_error(error))
                await anyio.sleep(backoff(failures, self._first_retry_s, 5.0, roll=1.0))
                continue
            failures = 0
            self._is_apart = False
            batch, self._batch = self._batch, None
            assert batch is not None
            self._set_failure(None)
            self.written += len(batch.readings)
            if batch.oldest_s is not None:
                self.on_commit(len(batch.readings), self._clock.steady() - batch.oldest_s)

    def _write(self, session: Session) -> None:
        """Write the batch, in the writer's thread. The number of a batch shows whether it is already committed."""
        boot = {"boot": self._boot}
        if self._batch is None:
            snapshots, minutes = self._due()
            self._batch = self._maker.make(self._pop_events(), snapshots, minutes)
            self._number += 1
        elif session.execute(text("SELECT batch FROM boots WHERE id = :boot"), boot).scalar() == self._number:
            return
        self._write_rows(session, self._batch)
        session.execute(text("UPDATE boots SET batch = :number WHERE id = :boot"), {"number": self._number, **boot})

    def _write_rows(self, session: Session, batch: Batch) -> None:
        """Write all rows; after a refusal put the refused ones into quarantine instead."""
        refused = batch.refused
        if self._is_apart:
            refused = refused + write_batch_apart(session, batch)
        else:
            write_batch(session, batch)
        try:
            self._database.quarantine.add(refused)
        except (QuarantineFull, OSError) as error:
            raise refusal(FULL if isinstance(error, QuarantineFull) else "rows cannot be put aside") from error

    def _due(self) -> tuple[bool, bool]:
        """Whether it is time for latest snapshots and for minutes; the time of the next begins then."""
        now = self._clock.steady()
        snapshots = self._is_draining or now >= self._snapshots_due_s
        minutes = self._is_draining or now >= self._minutes_due_s
        if snapshots:
            self._snapshots_due_s = now + _SNAPSHOTS_EVERY_S
        if minutes:
            self._minutes_due_s = now + _MINUTES_EVERY_S
        return snapshots, minutes

    def _is_kept_due(self) -> bool:
        now = self._clock.steady()
        return (self._maker.has_snapshots and (self._is_draining or now >= self._snapshots_due_s)) or (
            self._maker.has_minutes and (self._is_draining or now >= self._minutes_due_s)
        )

    def _pop_events(self) -> list[Snapshot | StateChange | MachineChange]:
        events: list[Snapshot | StateChange | MachineChange] = []
        try:
            while len(events) < self._batch_size:
                events.append(self._events.popleft())
        except IndexError:  # a full buffer may drop its oldest event meanwhile, so its length says nothing
            pass
        return events

    def _set_failure(self, reason: str | None) -> None:
        if reason == self.failure:
            return
        self.failure = reason
        if reason is None:
            log.info("storing readings again", pending=len(self._events))
        else:
            log.error("readings cannot be stored", reason=reason, pending=self.pending)
        self._on_failure(reason is not None, reason or "")
