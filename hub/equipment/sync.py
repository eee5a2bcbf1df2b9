"""One feed's cycle: whose turn, is it due, read, guard, publish; and when the next one is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from random import random

import anyio
import structlog
from anyio import to_thread

from hub.cache.lock import Held
from hub.clock import Clock
from hub.equipment.aggregate import aggregate
from hub.equipment.cache import EquipmentCache, Turn
from hub.equipment.machines import Plant, machine_of
from hub.equipment.source import ViewSource
from hub.equipment.view import ViewChanged, parse_rows
from hub.oracle.connection import OracleError, Rows
from hub.oracle.logon import LogonDenied

log = structlog.get_logger()

FRESH_BELOW = 0.8
"""Share of the interval below which the newest answer is fresh. Not 1: each cycle would find the last too young."""

LATE_BY = 0.05
"""A cycle starts up to this share of the interval late. Never early: with several hubs that would add queries."""

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
    """How a cycle ended and why. `again_s` is when the loop should come back, before jitter."""

    kind: OutcomeKind
    again_s: float
    reason: str | None = None
    code: str | None = None  # of a failure: `ORA-…`, `DPY-…`, `DEADLINE` or `VIEW`
    generation: int | None = None
    machines: int | None = None


@dataclass(slots=True)
class SyncRecord:
    """What the last cycles were like."""

    last_attempt_at: datetime | None = None
    last_outcome: Outcome | None = None
    last_failure: Outcome | None = None  # of the failures since the last success
    consecutive_failures: int = 0
    last_query_ms: float | None = None
    next_due_s: float | None = None  # steady clock
    is_running: bool = False
    queries: int = 0


class Sync:
    """Reads one view again and again. `on_cycle(outcome)` is told of each cycle's end."""

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
        self._feed_id = feed_id
        self._source = source
        self._cache = cache
        self._clock = clock
        self._interval_s = interval_s
        self._on_cycle = on_cycle

    async def run(self) -> None:
        """One cycle at once, then one per interval, until cancelled; sooner after a failure."""
        while True:
            outcome = await self.refresh()
            delay_s = outcome.again_s + min(LATE_BY * self._interval_s, outcome.again_s / 2) * random()
            self.record.next_due_s = self._clock.steady() + delay_s
            await anyio.sleep(delay_s)

    async def refresh(self, force: bool = False) -> Outcome:
        """One cycle now. `force` reads although the last answer is fresh, and publishes a shrunken one."""
        record = self.record
        if record.is_running:
            return Outcome(OutcomeKind.LOCK_HELD, self._interval_s / 10, "this hub is reading the view already")
        record.is_running = True
        record.last_attempt_at = self._clock.now()
        try:
            outcome = await self._cycle(force)
        finally:
            record.is_running = False
        outcome = self._note(outcome)
        self._on_cycle(outcome)
        return outcome

    async def _cycle(self, force: bool) -> Outcome:
        async with self._cache.turn() as turn:
            if isinstance(turn, Held):
                again_s = min(turn.remaining_s, self._interval_s)
                return Outcome(OutcomeKind.LOCK_HELD, again_s, "another hub is reading the view")
            if turn.is_fresh(FRESH_BELOW * self._interval_s) and not force:
                return Outcome(OutcomeKind.FRESH, self._interval_s - max(0.0, turn.age_s or 0.0))
            return await self._read(turn, force)
        raise AssertionError("a turn swallowed its block")

    async def _read(self, turn: Turn, force: bool) -> Outcome:
        started = self._clock.steady()
        self.record.queries += 1
        if force and self._source.logon is not None:
            self._source.logon.allow_one()
        try:
            rows = await self._source.read()
            query_ms = round((self._clock.steady() - started) * 1000, 1)
            plant = await to_thread.run_sync(self._plant, rows, turn, query_ms)
        except LogonDenied as error:
            return Outcome(OutcomeKind.FAILED, error.retry_after_s, error.text, error.code)
        except OracleError as error:
            return Outcome(OutcomeKind.FAILED, 0.0, error.text, error.code)
        except ViewChanged as error:
            return Outcome(OutcomeKind.FAILED, 0.0, str(error), "VIEW")
        self.record.last_query_ms = query_ms
        last_good = self._cache.entry
        refusal = refusal_of(len(plant.machines), len(last_good.value.machines) if last_good else 0)
        left_s = self._interval_s - (self._clock.steady() - started)
        if refusal is not None and not force:
            await self._cache.mark_checked(turn)
            return Outcome(OutcomeKind.REFUSED, left_s, refusal, machines=len(plant.machines))
        if not await self._cache.publish(plant, turn):
            return Outcome(OutcomeKind.FRESH, left_s, "a newer answer was published meanwhile")
        return Outcome(OutcomeKind.REFRESHED, left_s, None, None, turn.generation, len(plant.machines))

    def _plant(self, rows: Rows, turn: Turn, query_ms: float) -> Plant:
        """In a worker thread: thousands of rows take longer than the loop may stand still."""
        clean, bad = parse_rows(rows, self._source.zone, self._source.drop)
        records, tally = aggregate(clean)
        tally.bad_times, tally.bad_quantities, tally.bad_texts = bad.times, bad.quantities, bad.texts
        machines = sorted((machine_of(record) for record in records), key=lambda machine: machine.resource_id)
        as_of = datetime.fromtimestamp(turn.started_ms / 1000, UTC)
        return Plant(turn.generation, as_of, tuple(machines), tally, query_ms)

    def _note(self, outcome: Outcome) -> Outcome:
        record = self.record
        asked_s = outcome.again_s
        outcome = replace(outcome, again_s=max(LATE_BY * self._interval_s, outcome.again_s))
        was_refused = record.last_outcome is not None and record.last_outcome.kind is OutcomeKind.REFUSED
        if outcome.kind is OutcomeKind.FAILED:
            record.consecutive_failures += 1
            retry_s = min(RETRY_S[min(record.consecutive_failures, len(RETRY_S)) - 1], self._interval_s)
            outcome = replace(outcome, again_s=max(asked_s, retry_s))
            if record.consecutive_failures == 1:
                log.warning("equipment feed lost", feed=self._feed_id, code=outcome.code, reason=outcome.reason)
            record.last_failure = outcome
        elif outcome.kind is OutcomeKind.REFUSED and not was_refused:
            log.warning("equipment answer refused", feed=self._feed_id, reason=outcome.reason)
        elif outcome.kind in (OutcomeKind.REFRESHED, OutcomeKind.FRESH):
            if record.consecutive_failures or was_refused:
                log.info("equipment feed is back", feed=self._feed_id)
            record.consecutive_failures = 0
            record.last_failure = None
        record.last_outcome = outcome
        return outcome


def refusal_of(machines: int, last_good: int) -> str | None:
    """Why an answer must not replace the last good one, or None: a plant does not vanish between two cycles."""
    if machines == 0:
        return f"the view is empty; the last good answer had {last_good} machines"
    if machines < SHRUNKEN_BELOW * last_good:
        return f"the view has {machines} machines, less than half of the last good answer's {last_good}"
    return None
