"""Snapshots and changes of state for the store's tests, and how they are stored."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from alerts.model.metrics import Metric
from hub.database.database import Database
from hub.readings.reading import QuantityReading, Reading
from hub.readings.snapshot import Snapshot, StateChange
from hub.store.batch import BatchMaker, sqlite_time
from hub.store.insert import write_batch

START = datetime(2026, 3, 18, 22, 0, 0, tzinfo=UTC)


def snapshot(
    sequence: int,
    lp: float | None = 60.0,
    *,
    unit_id: str = "gate-a",
    after_s: float | None = None,
    at: datetime | None = None,
    cadence_s: float = 1.0,
    quality: tuple[str, ...] = (),
    raw: str = "",
) -> Snapshot:
    """A reading `after_s` (default: `sequence`) seconds after START."""
    when = at or START + timedelta(seconds=sequence if after_s is None else after_s)
    reading = Reading(
        lp=lp,
        leq=61.0,
        le=95.2,
        lmax=78.1,
        lmin=44.0,
        ln1=66.0,
        ln2=64.2,
        ln3=60.1,
        ln4=55.0,
        ln5=53.2,
        lpeak=91.3,
        lieq=None,
        leq_mov=None,
        ltm5=None,
        over=False,
        under=None,
        raw=raw,
    )
    return Snapshot(unit_id, sequence, when, when.timestamp(), reading, "Start", START, quality, cadence_s)


def change(after_s: float, old: str, new: str, unit_id: str = "gate-a") -> StateChange:
    """A change of reachability `after_s` seconds after START."""
    at = START + timedelta(seconds=after_s)
    return StateChange(unit_id, at, at.timestamp(), "reachability", old, new, "refused")


WEATHER = {
    "temperature": Metric("temperature", unit="°C", decimals=1),
    "direction": Metric("direction", unit="°", decimals=0, mean=None),
    "sound": Metric("sound", unit="dB", decimals=1, mean="energy"),
}


def weather(
    sequence: int,
    temperature: float | None = 20.0,
    direction: float | None = 0.0,
    sound: float | None = 60.0,
    *,
    unit_id: str = "weather",
    after_s: float | None = None,
) -> Snapshot:
    """A reading of another instrument, `after_s` (default: `sequence`) seconds after START."""
    values = {"temperature": temperature, "direction": direction, "sound": sound}
    reading = QuantityReading(values, WEATHER, "0R0", None, None)
    head = snapshot(sequence, unit_id=unit_id, after_s=after_s)
    return head._replace(reading=reading, run_state=None, run_started_at=None, quality=reading.qualities(None))


async def store(database: Database, snapshots: Sequence[Snapshot]) -> None:
    """Write the snapshots as the recorder does."""
    maker = BatchMaker(sqlite_time if database.dialect == "sqlite" else lambda at: at)
    await database.write(lambda session: write_batch(session, maker.make(snapshots)))
