"""The status of a feed as the API shows it. Pure."""

from dataclasses import asdict
from typing import Any

from alerts.model.category import Category
from alerts.model.moments import rfc3339
from hub.cache.memory import Entry
from hub.equipment.cache import EquipmentCache
from hub.equipment.machines import Plant
from hub.equipment.reads import Head
from hub.equipment.sync import REFUSED, Outcome, OutcomeKind, SyncRecord
from hub.runtime.clock import Clock

UNHEALTHY_AFTER = 6.0
"""Intervals after which a feed is no longer only degraded."""

RUNNABLE = (Category.PRODUCTIVE, Category.STANDBY, Category.ENGINEERING)
OPERATING = (*RUNNABLE, Category.DOWN)
TOTAL = (*OPERATING, Category.NOT_SCHEDULED)


def feed_status(
    head: Head,
    health: str,
    entry: Entry[Plant] | None,
    cache: EquipmentCache,
    record: SyncRecord,
    clock: Clock,
    interval_s: float,
) -> dict[str, Any]:
    """The status as JSON values. Counts and ratios are None without a plant: an unknown plant has none."""
    now_s = clock.steady()
    plant = entry.value if entry else None
    outcome, error, failures = record.last_outcome, _error(record.last_failure), record.consecutive_failures
    shown = record.last_failure if failures else outcome
    kind, reason = (shown.kind, shown.reason) if shown else (None, None)
    if cache.refusal is not None and kind is not OutcomeKind.FAILED:
        kind, reason = OutcomeKind.REFUSED, cache.refusal
        error, failures = {"code": REFUSED, "text": cache.refusal}, max(1, failures)
    return {
        "enabled": cache.figures().enabled,
        "loaded": plant is not None,
        **head.as_json(),
        "health": health,
        "degraded_reason": cache.degraded,
        "interval_s": interval_s,
        "updated_at": head.as_json()["as_of"],
        "last_attempt_at": rfc3339(record.last_attempt_at),
        "last_outcome": kind.value if kind else None,
        "last_reason": reason,
        "last_error": error,
        "consecutive_failures": failures,
        "last_query_ms": record.last_query_ms,
        "queries": record.queries,
        "lock_holder": lock_holder(record),
        "next_due_in_s": None if record.next_due_s is None else round(max(0.0, record.next_due_s - now_s), 3),
        **plant_counts(plant),
        "lookup": {
            "ready": plant is not None,
            "count": len(plant.by_id) if plant else 0,
            "built_at": head.as_json()["as_of"],
            "age_seconds": head.age_s,
        },
        "l1": {**asdict(cache.counters), "entries": int(plant is not None), "age_s": head.age_s},
    }


def plant_counts(plant: Plant | None) -> dict[str, Any]:
    """Counts of a plant's machines, and of the faults in the rows it was read from; all None without a plant."""
    if plant is None:
        names = ("machines", "count", "rows", "dropped_rows", "conflicts", "unknown_codes", "bad_times")
        return dict.fromkeys(
            (*names, "bad_quantities", "bad_texts", "categories", "ou_percent", "availability_percent")
        )
    tally = plant.tally
    return {
        "machines": len(plant.machines),
        "count": len(plant.machines),
        "rows": tally.rows,
        "dropped_rows": tally.rows_without_id,
        "conflicts": tally.conflicts,
        "unknown_codes": tally.unknown_codes,
        "bad_times": tally.bad_times,
        "bad_quantities": tally.bad_quantities,
        "bad_texts": tally.bad_texts,
        "categories": {category.value: count for category, count in plant.categories.items()},
        "ou_percent": plant.percent((Category.PRODUCTIVE,), OPERATING),
        "availability_percent": plant.percent(RUNNABLE, TOTAL),
    }


def _error(failure: Outcome | None) -> dict[str, str | None] | None:
    return {"code": failure.code, "text": failure.reason} if failure else None


def health_of(head: Head, waited_s: float, interval_s: float, is_failing: bool = False) -> str:
    """`ok`; `degraded` when stale, failing, without Redis or not read yet; `unhealthy` after 6 intervals."""
    if waited_s > UNHEALTHY_AFTER * interval_s:
        return "unhealthy"
    return "degraded" if head.stale or head.degraded or is_failing else "ok"


def lock_holder(record: SyncRecord) -> str | None:
    """Which hub was reading the view at this hub's last cycle: `this`, `another` or None."""
    if record.is_running:
        return "this"
    is_held = record.last_outcome is not None and record.last_outcome.kind is OutcomeKind.LOCK_HELD
    return "another" if is_held else None
