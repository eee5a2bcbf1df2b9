"""Announces what a feed has read, by callbacks: status changes, samples, staleness and refusals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint

from alerts.model.sample import Sample
from hub.cache.memory import Entry
from hub.equipment.machines import Plant, changes, subject_of
from hub.readings.snapshot import MachineChange
from hub.runtime.clock import Clock

CHUNK = 100
"""Samples per call of `on_samples`; between two calls other tasks run."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Callbacks of a feed; they must not block. `on_stale` and `on_refused` are called at the start and at the end.

    `on_stale(feed_id, is_stale, reason)`; `on_refused(feed_id, reason)`, with None once an answer is accepted
    again, and at the first accepted answer, so that an alert of an earlier process ends. `on_plant` is called after
    the changes and samples of a plant.
    """

    on_change: Callable[[MachineChange], None] = lambda change: None
    on_samples: Callable[[list[Sample]], None] = lambda samples: None
    on_stale: Callable[[str, bool, str | None], None] = lambda feed_id, is_stale, reason: None
    on_refused: Callable[[str, str | None], None] = lambda feed_id, reason: None
    on_plant: Callable[[Plant], None] = lambda plant: None


class Announcer:
    """Announces each plant once. `known` are the last stored statuses by RESOURCEID.

    Without `known` the first plant counts as no change.
    """

    def __init__(
        self,
        feed_id: str,
        clock: Clock,
        cadence_s: float,
        callbacks: Callbacks,
        known: Mapping[str, str | None] | None = None,
    ) -> None:
        self._feed_id = feed_id
        self._clock = clock
        self._cadence_s = cadence_s
        self._callbacks = callbacks
        self._known = known
        self._announced = 0
        self._wakeup = anyio.Event()

    def wake(self) -> None:
        """Wake `run`: there is a new plant, or a cycle has ended without one."""
        self._wakeup.set()

    async def run(self, newest: Callable[[], Entry[Plant] | None]) -> None:
        """Announce what `newest()` returns at each `wake`, until cancelled."""
        while True:
            await self._wakeup.wait()
            self._wakeup = anyio.Event()
            entry = newest()
            if entry is not None:
                await self._announce(entry)

    async def _announce(self, entry: Entry[Plant]) -> None:
        plant = entry.value
        is_new = plant.generation != self._announced
        now_s, now = self._clock.steady(), self._clock.now()
        if is_new:
            self._announced = plant.generation
            if self._known is not None:
                for change in await to_thread.run_sync(changes, self._feed_id, self._known, plant):
                    self._callbacks.on_change(change)
            self._known = {machine.resource_id: machine.status for machine in plant.machines}
        for samples in await to_thread.run_sync(self._samples, entry, is_new, now_s, now):
            self._callbacks.on_samples(samples)
            await checkpoint()
        if is_new:
            self._callbacks.on_plant(plant)

    def _samples(self, entry: Entry[Plant], is_new: bool, now_s: float, now: datetime) -> list[list[Sample]]:
        """The samples of a plant; of one that was announced before only the ages."""
        plant, cadence_s = entry.value, self._cadence_s
        age_s = max(0.0, now_s - entry.time)
        made: list[Sample] = []
        for machine in plant.machines:
            subject = subject_of(self._feed_id, machine.resource_id)
            if is_new:
                seen: tuple[tuple[str, str | float | None], ...] = (
                    ("status_category", machine.category.value),
                    ("status", machine.status),
                    ("lot_count", float(machine.lot_count)),
                )
                made += [
                    Sample(subject, metric, value, plant.as_of, entry.time, cadence_s=cadence_s)
                    for metric, value in seen
                ]
            made.append(Sample(subject, "age_s", age_s, now, now_s, cadence_s=cadence_s))
        return [made[start : start + CHUNK] for start in range(0, len(made), CHUNK)]
