"""Readings and changes turned into rows. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from json import dumps
from operator import itemgetter
from typing import Any

from alerts.model.metrics import metric_of
from alerts.model.storable import storable
from alerts.store.unstorable import Refused, reason_of
from hub.readings.reading import QuantityReading, Reading
from hub.readings.snapshot import FRAME_LEVELS, MachineChange, Snapshot, StateChange
from hub.store.quantity_key import by_key
from hub.store.quantity_minutes import Sums, add_reading

Row = tuple[Any, ...]

_levels = itemgetter(*(Reading._fields.index(name) for name in FRAME_LEVELS))
_NO_LEVELS = (None,) * len(FRAME_LEVELS)


@dataclass(slots=True)
class MinuteSum:
    """What a batch adds to one minute of one unit: `energy` is the sum of `t * 10^(lp/10)`."""

    energy: float = 0.0
    weight_s: float = 0.0  # sum of t: the cadence, or the time since the reading before where that is less
    lp_max: float | None = None
    lp_min: float | None = None
    count: int = 0
    covered_s: float = 0.0

    def add(self, lp: float | None, weight_s: float, covered_s: float) -> None:
        """Add one reading."""
        # Asked for between two polls, a reading stands for no more time than has passed.
        counted_s = covered_s if covered_s < weight_s else weight_s
        energy = 0.0 if lp is None else counted_s * 10.0 ** (lp / 10.0)
        self.count += 1
        self.covered_s += covered_s
        if lp is not None:
            self.energy += energy
            self.weight_s += counted_s
            if self.lp_max is None or lp > self.lp_max:
                self.lp_max = lp
            if self.lp_min is None or lp < self.lp_min:
                self.lp_min = lp


Minutes = dict[tuple[str, datetime], MinuteSum]
"""By unit and start of the minute."""


@dataclass(slots=True)
class Batch:
    """The rows of one transaction. `readings` and `snapshots` are in the order of the columns of `Measured`.

    `snapshots`, `minutes` and `quantity_minutes` may sum up several batches, or be left to a later one.
    """

    readings: list[Row] = field(default_factory=list)
    snapshots: dict[str, Row] = field(default_factory=dict)
    minutes: Minutes = field(default_factory=dict)
    quantity_minutes: Sums = field(default_factory=dict)
    changes: list[Row] = field(default_factory=list)
    machine_changes: list[Row] = field(default_factory=list)
    oldest_s: float | None = None
    """Steady time of the oldest reading."""
    refused: list[Refused] = field(default_factory=list)
    """What no row could be made of."""


class BatchMaker:
    """Makes rows; remembers per unit when it was last read, to know what time a reading stands for.

    `time_of` turns an aware UTC datetime into what the driver wants.
    """

    def __init__(self, time_of: Callable[[datetime], Any], keep_raw: bool = False) -> None:
        self._time_of = time_of
        self._keep_raw = keep_raw
        self._last_s: dict[str, float] = {}
        self._snapshots: dict[str, Row] = {}
        self._minutes: Minutes = {}
        self._quantity_minutes: Sums = {}

    @property
    def has_snapshots(self) -> bool:
        """Some are kept for a later batch."""
        return bool(self._snapshots)

    @property
    def has_minutes(self) -> bool:
        """Some are kept for a later batch."""
        return bool(self._minutes or self._quantity_minutes)

    def make(
        self,
        events: Iterable[Snapshot | StateChange | MachineChange],
        with_snapshots: bool = True,
        with_minutes: bool = True,
    ) -> Batch:
        """The rows of these events, which come in order of time.

        What a batch is made without is kept for the next that is made with it.
        """
        batch = Batch()
        time_of = self._time_of
        for event in events:
            try:
                if isinstance(event, Snapshot):
                    self._add(batch, event)
                elif isinstance(event, MachineChange):
                    subject, old, new, at, reason = map(_clean, event)
                    batch.machine_changes.append((subject, old, new, time_of(at), reason))
                else:
                    unit_id, at, _, what, old, new, reason = map(_clean, event)
                    batch.changes.append((unit_id, time_of(at), what, old, new, reason))
            except (ValueError, OverflowError) as error:  # a level or a time beyond what can be reckoned with
                batch.refused.append(Refused(type(event).__name__, event._asdict(), reason_of(error)))
        if with_snapshots:
            batch.snapshots, self._snapshots = self._snapshots, {}
        if with_minutes:
            batch.minutes, self._minutes = self._minutes, {}
            batch.quantity_minutes, self._quantity_minutes = self._quantity_minutes, {}
        return batch

    def _add(self, batch: Batch, snapshot: Snapshot) -> None:
        unit_id, sequence, at, time_s, reading, run_state, run_started_at, quality, cadence_s = snapshot
        weight_s = cadence_s if cadence_s > 0.001 else 0.001
        # A reading stands for the time since the one before, unless that is a gap.
        covered_s = min(time_s - self._last_s.get(unit_id, time_s - weight_s), max(1.5 * weight_s, 2.0))
        covered_s = round(covered_s, 3) if covered_s > 0 else 0.0
        self._last_s[unit_id] = time_s
        levels: tuple[float | None, ...] = _NO_LEVELS
        values = None
        if isinstance(reading, Reading):
            levels = _levels(reading)
            key = (unit_id, at.replace(second=0, microsecond=0))
            minute = self._minutes.get(key) or MinuteSum()
            minute.add(reading.lp, weight_s, covered_s)
            self._minutes[key] = minute
        elif isinstance(reading, QuantityReading):
            metrics = by_key({name: reading.metrics.get(name) or metric_of(name) for name in reading.quantities})
            found = dict(zip(metrics, reading.quantities.values(), strict=True))
            values = dumps(found, allow_nan=False)
            add_reading(self._quantity_minutes, unit_id, at, found, metrics, weight_s, covered_s)
        row = (
            unit_id,
            self._time_of(at),
            sequence,
            *levels,
            reading.over,
            reading.under,
            _clean(run_state),
            None if run_started_at is None else self._time_of(run_started_at),
            _clean(",".join(quality)),
            weight_s,
            covered_s,
            _clean(reading.raw) if self._keep_raw else None,
            values,
        )
        batch.readings.append(row)
        self._snapshots[unit_id] = row
        if batch.oldest_s is None:
            batch.oldest_s = time_s


def _clean(value: Any) -> Any:
    """A text without NUL, which PostgreSQL cannot hold, and without halves of characters, which nobody can."""
    return storable(value.replace("\0", "")) if isinstance(value, str) else value


def sqlite_time(at: datetime) -> str:
    """The text SQLite holds a time in, as SQLAlchemy writes it: UTC, always with microseconds."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.replace(tzinfo=None).isoformat(" ", "microseconds")
