"""One feed's cycle: whose turn, is it due, read, guard, publish; and when the next one is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from random import random

import structlog
from anyio import to_thread

from hub.cache.lock import Held
from hub.equipment.aggregate import aggregate
from hub.equipment.cache import EquipmentCache, Turn
from hub.equipment.machines import Plant, machine_of
from hub.equipment.requests import Requests, Wish
from hub.equipment.source import ViewSource
from hub.equipment.view import ViewChanged, parse_rows
from hub.oracle.connection import OracleError, Rows
from hub.oracle.logon import LogonDenied
from hub.runtime.clock import Clock

log = structlog.get_logger()

FRESH_BELOW = 0.8
"""Share of the interval below which the newest answer is fresh. Not 1: each cycle would find the last too young."""

LATE_BY = 0.05
"""A cycle starts up to this share of the interval late. Never early: with several hubs that would add queries."""

LOOK_S = 0.5
"""While another hub reads the view, look again no sooner than this: a killed one lets go within seconds."""

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
    """How a cycle ended and why. `again_s` is when the loop should come back, before jitter."""

    kind: OutcomeKind
    again_s: float
    reason: str | None = None
    code: str | None = None  # of a failure: `ORA-…`, `DPY-…`, `DEADLINE`, `DRIVER`, `VIEW`; `REFUSED`
    generation: int | None = None
    machines: int | None = None
    is_repeated: bool = False  # a refusal of an earlier cycle, or of another hub: nothing was read now


@dataclass(slots=True)
class SyncRecord:
    """What the last cycles were like."""

    last_attempt_at: datetime | None = None
    last_outcome: Outcome | None = None
    last_failure: Outcome | None = None  # of the failures since the last success
    failed_over: int = 0  # generation of the plant that was there at the first of them
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
        self.requests = Requests()
        self._feed_id = feed_id
        self._source = source
        self._cache = cache
        self._clock = clock
        self._interval_s = interval_s
        self._on_cycle = on_cycle

    async def run(self) -> None:
        """A cycle at once, then one per interval, until cancelled; sooner after a failure or when somebody asks."""
        with self.requests.served():
            while True:
                wish = self.requests.take()
                outcome = await self.refresh(wish.force, wish.accept_shrunken)
                self.requests.answer(outcome)
                delay_s = outcome.again_s + min(LATE_BY * self._interval_s, outcome.again_s / 2) * random()
                self.record.next_due_s = self._clock.steady() + delay_s
                await self.requests.wait(delay_s)

    async def refresh(self, force: bool = False, accept_shrunken: bool = False) -> Outcome:
        """One cycle now, in the caller's task. `force` reads although the last answer is fresh; `accept_shrunken`
        publishes an answer that lacks more than half of the machines, or all."""
        record = self.record
        if record.is_running:
            return Outcome(OutcomeKind.LOCK_HELD, self._interval_s / 10, "this hub is reading the view already")
        record.is_running = True
        record.last_attempt_at = self._clock.now()
        try:
            outcome = await self._cycle(Wish(force, accept_shrunken))
        finally:
            record.is_running = False
        outcome = self._note(outcome)
        self._on_cycle(outcome)
        return outcome

    def recover(self) -> None:
        """There may be a newer plant, whoever read it: what failed before it is over."""
        record, entry = self.record, self._cache.entry
        if record.consecutive_failures and entry is not None and entry.generation > record.failed_over:
            log.info("equipment feed is back", feed=self._feed_id)
            record.consecutive_failures = 0
            record.last_failure = None

    async def _cycle(self, wish: Wish) -> Outcome:
        async with self._cache.turn() as turn:
            if isinstance(turn, Held):
                again_s = min(turn.remaining_s, self._interval_s)
                return Outcome(OutcomeKind.LOCK_HELD, again_s, "another hub is reading the view")
            refusal = self._cache.refusal
            is_wanted = wish.force or (wish.accept_shrunken and refusal is not None)
            if turn.is_fresh(FRESH_BELOW * self._interval_s) and not is_wanted:
                again_s = self._interval_s - max(0.0, turn.age_s or 0.0)
                if refusal is not None:
                    return Outcome(OutcomeKind.REFUSED, again_s, refusal, REFUSED, is_repeated=True)
                return Outcome(OutcomeKind.FRESH, again_s)
            return await self._read(turn, wish)
        raise AssertionError("a turn swallowed its block")

    async def _read(self, turn: Turn, wish: Wish) -> Outcome:
        started = self._clock.steady()
        self.record.queries += 1
        if wish.force and self._source.logon is not None:
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
        refusal = refusal_of(len(plant.machines), len(last_good.value.machines) if last_good else None)
        left_s = self._interval_s - (self._clock.steady() - started)
        if refusal is not None and not wish.accept_shrunken:
            await self._cache.refuse(turn, refusal)
            return Outcome(OutcomeKind.REFUSED, left_s, refusal, REFUSED, machines=len(plant.machines))
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
        """Keep the record. Only a newer plant ends a failure: a fresh answer may be older than it."""
        record, asked_s = self.record, outcome.again_s
        least_s = LATE_BY * self._interval_s
        if outcome.kind is OutcomeKind.LOCK_HELD:
            least_s = min(least_s, LOOK_S)
        outcome = replace(outcome, again_s=max(least_s, asked_s))
        if outcome.kind in (OutcomeKind.REFRESHED, OutcomeKind.FRESH):
            self.recover()
        elif outcome.kind in (OutcomeKind.FAILED, OutcomeKind.REFUSED):
            is_first = not record.consecutive_failures
            if is_first:
                record.failed_over = self._cache.entry.generation if self._cache.entry else 0
            if is_first or (record.last_failure and record.last_failure.kind is not outcome.kind):
                said = "equipment feed lost" if outcome.kind is OutcomeKind.FAILED else "equipment answer refused"
                log.warning(said, feed=self._feed_id, code=outcome.code, reason=outcome.reason)
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
    """Why an answer must not replace the last good one, or None: a plant does not vanish between two cycles.

    `last_good` None: there is none. A plant that was emptied by a person's consent may stay empty.
    """
    if machines == 0 and last_good != 0:
        return "the view is empty" + (f"; the last good answer had {last_good} machines" if last_good else "")
    if machines < SHRUNKEN_BELOW * (last_good or 0):
        return f"the view has {machines} machines, less than half of the last good answer's {last_good}"
    return None
