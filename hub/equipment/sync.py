"""The cycle of one feed: acquire the permit, read the view if it is due, check the answer, publish it.

Invariants:

- Of all hubs on one Redis only the holder of the permit reads the view; without Redis each hub reads for itself.
- An empty answer, or one with less than half of the machines, never replaces an accepted one unless a person
  allows it.
- Only a newer plant ends a failure, whichever hub has read it.

How a cycle ends:

    another hub holds the permit ──> LOCK_HELD      read recently ──> FRESH, or REFUSED again
    read ──> error ──> FAILED       read ──> shrunken ──> REFUSED       read ──> published ──> REFRESHED
    read ──> a newer plant was published meanwhile ──> FRESH
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from random import random

import structlog
from anyio import to_thread

from hub.cache.lock import LockHeld
from hub.equipment.aggregate import aggregate
from hub.equipment.cache import EquipmentCache, ReadPermit
from hub.equipment.machines import Plant, machine_of
from hub.equipment.requests import RefreshOptions, Requests
from hub.equipment.source import ViewSource
from hub.equipment.view import ViewChanged, parse_rows
from hub.oracle.connection import OracleError, Rows
from hub.oracle.logon import LogonDenied
from hub.runtime.clock import Clock

log = structlog.get_logger()

FRESH_BELOW = 0.8
"""Share of the interval below which the newest answer is fresh; with 1 each cycle would find the last one fresh."""

LATE_BY = 0.05
"""A cycle starts up to this share of the interval late, never early: with several hubs that would add queries."""

RECHECK_S = 0.5
"""Seconds until the next attempt while another hub reads the view; the lock of a killed hub expires soon."""

REFUSED = "REFUSED"
RETRY_S = (5.0, 15.0, 45.0)
SHRUNKEN_BELOW = 0.5


class OutcomeKind(StrEnum):
    """How a cycle ended."""

    REFRESHED = "refreshed"
    FRESH = "fresh"
    LOCK_HELD = "lock_held"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a cycle ended and why. `again_s` is the time until the next cycle, before jitter."""

    kind: OutcomeKind
    again_s: float
    reason: str | None = None
    code: str | None = None  # of a failure: `ORA-…`, `DPY-…`, `DEADLINE`, `DRIVER`, `VIEW`; `REFUSED`
    generation: int | None = None
    machines: int | None = None
    is_repeated: bool = False  # a refusal of an earlier cycle, or of another hub: nothing was read now


@dataclass(slots=True)
class SyncRecord:
    """The record of the last cycles."""

    last_attempt_at: datetime | None = None
    last_outcome: Outcome | None = None
    last_failure: Outcome | None = None  # the newest one since the last success
    failed_over: int = 0  # generation of the plant at the first of these failures
    consecutive_failures: int = 0
    last_query_ms: float | None = None
    next_due_s: float | None = None  # steady clock
    is_running: bool = False
    queries: int = 0


class Sync:
    """Reads one view periodically; it calls `on_cycle(outcome)` at the end of each cycle."""

    def __init__(
        self,
        feed_id: str,
        source: ViewSource,
        cache: EquipmentCache,
        clock: Clock,
        interval_s: float,
        on_cycle: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self.record = SyncRecord()
        self.requests = Requests()
        self._feed_id = feed_id
        self._source = source
        self._cache = cache
        self._clock = clock
        self._interval_s = interval_s
        self._on_cycle = on_cycle

    async def run(self) -> None:
        """Run a cycle at once, then one per interval, until cancelled; sooner after a failure or on request."""
        with self.requests.accepting():
            while True:
                options = self.requests.next_options()
                outcome = await self.refresh(options.force, options.accept_shrunken)
                self.requests.complete(outcome)
                delay_s = outcome.again_s + min(LATE_BY * self._interval_s, outcome.again_s / 2) * random()
                self.record.next_due_s = self._clock.steady() + delay_s
                await self.requests.wait(delay_s)

    async def refresh(self, force: bool = False, accept_shrunken: bool = False) -> Outcome:
        """Run one cycle in the caller's task. `force` reads although the last answer is fresh; `accept_shrunken`
        publishes an answer that lacks more than half of the machines, or all."""
        record = self.record
        if record.is_running:
            return Outcome(OutcomeKind.LOCK_HELD, self._interval_s / 10, "this hub is reading the view already")
        record.is_running = True
        record.last_attempt_at = self._clock.now()
        try:
            outcome = await self._cycle(RefreshOptions(force, accept_shrunken))
        finally:
            record.is_running = False
        outcome = self._record_outcome(outcome)
        self._on_cycle(outcome)
        return outcome

    def recover(self) -> None:
        """End the failure if there is a newer plant, whichever hub has read it."""
        record, entry = self.record, self._cache.entry
        if record.consecutive_failures and entry is not None and entry.generation > record.failed_over:
            log.info("equipment feed works again", feed=self._feed_id)
            record.consecutive_failures = 0
            record.last_failure = None

    async def _cycle(self, options: RefreshOptions) -> Outcome:
        async with self._cache.read_permit() as permit:
            if isinstance(permit, LockHeld):
                again_s = min(permit.remaining_s, self._interval_s)
                return Outcome(OutcomeKind.LOCK_HELD, again_s, "another hub is reading the view")
            refusal = self._cache.refusal
            is_wanted = options.force or (options.accept_shrunken and refusal is not None)
            if permit.is_fresh(FRESH_BELOW * self._interval_s) and not is_wanted:
                again_s = self._interval_s - max(0.0, permit.age_s or 0.0)
                if refusal is not None:
                    return Outcome(OutcomeKind.REFUSED, again_s, refusal, REFUSED, is_repeated=True)
                return Outcome(OutcomeKind.FRESH, again_s)
            return await self._read(permit, options)
        raise AssertionError("the permit swallowed an exception of its block")

    async def _read(self, permit: ReadPermit, options: RefreshOptions) -> Outcome:
        started = self._clock.steady()
        self.record.queries += 1
        if options.force and self._source.logon is not None:
            self._source.logon.allow_one()
        try:
            rows = await self._source.read()
            query_ms = round((self._clock.steady() - started) * 1000, 1)
            plant = await to_thread.run_sync(self._plant, rows, permit, query_ms)
        except LogonDenied as error:
            return Outcome(OutcomeKind.FAILED, error.retry_after_s, error.text, error.code)
        except OracleError as error:
            return Outcome(OutcomeKind.FAILED, 0.0, error.text, error.code)
        except ViewChanged as error:
            return Outcome(OutcomeKind.FAILED, 0.0, str(error), "VIEW")
        self.record.last_query_ms = query_ms
        last_good = self._cache.entry
        refusal = refusal_of(len(plant.machines), len(last_good.value.machines) if last_good else None)
        left_s = self._interval_s - (self._clock.steady() - started)
        if refusal is not None and not options.accept_shrunken:
            await self._cache.refuse(permit, refusal)
            return Outcome(OutcomeKind.REFUSED, left_s, refusal, REFUSED, machines=len(plant.machines))
        if not await self._cache.publish(plant, permit):
            return Outcome(OutcomeKind.FRESH, left_s, "a newer answer was published meanwhile")
        return Outcome(OutcomeKind.REFRESHED, left_s, None, None, permit.generation, len(plant.machines))

    def _plant(self, rows: Rows, permit: ReadPermit, query_ms: float) -> Plant:
        """Build the plant. Call it in a worker thread: thousands of rows would block the event loop too long."""
        clean, bad = parse_rows(rows, self._source.zone, self._source.drop)
        records, tally = aggregate(clean)
        tally.bad_times, tally.bad_quantities, tally.bad_texts = bad.times, bad.quantities, bad.texts
        machines = sorted((machine_of(record) for record in records), key=lambda machine: machine.resource_id)
        as_of = datetime.fromtimestamp(permit.started_ms / 1000, UTC)
        return Plant(permit.generation, as_of, tuple(machines), tally, query_ms)

    def _record_outcome(self, outcome: Outcome) -> Outcome:
        """Update the record. A fresh answer may be older than a failure, so only a newer plant ends it."""
        record, asked_s = self.record, outcome.again_s
        least_s = LATE_BY * self._interval_s
        if outcome.kind is OutcomeKind.LOCK_HELD:
            least_s = min(least_s, RECHECK_S)
        outcome = replace(outcome, again_s=max(least_s, asked_s))
        if outcome.kind in (OutcomeKind.REFRESHED, OutcomeKind.FRESH):
            self.recover()
        elif outcome.kind in (OutcomeKind.FAILED, OutcomeKind.REFUSED):
            is_first = not record.consecutive_failures
            if is_first:
                record.failed_over = self._cache.entry.generation if self._cache.entry else 0
            if is_first or (record.last_failure and record.last_failure.kind is not outcome.kind):
                has_failed = outcome.kind is OutcomeKind.FAILED
                event = "equipment view cannot be read" if has_failed else "equipment answer refused"
                log.warning(event, feed=self._feed_id, code=outcome.code, reason=outcome.reason)
            record.consecutive_failures += is_first or not outcome.is_repeated
            record.last_failure = outcome
            if outcome.kind is OutcomeKind.FAILED:
                retry_s = RETRY_S[min(record.consecutive_failures, len(RETRY_S)) - 1]
                outcome = record.last_failure = replace(
                    outcome, again_s=max(asked_s, min(retry_s, self._interval_s))
                )
        record.last_outcome = outcome
        return outcome


def refusal_of(machines: int, last_good: int | None) -> str | None:
    """Why an answer must not replace the last accepted one, or None: a plant does not vanish between two cycles.

    `last_good` is the number of machines of the last accepted answer, None without one; 0 after a person has
    accepted an empty answer.
    """
    if machines == 0 and last_good != 0:
        return "the view is empty" + (f"; the last good answer had {last_good} machines" if last_good else "")
    if machines < SHRUNKEN_BELOW * (last_good or 0):
        return f"the view has {machines} machines, less than half of the last good answer's {last_good}"
    return None
