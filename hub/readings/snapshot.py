"""What the hub knows of a unit at an instant: a reading with its place in the sequence; and what changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from alerts.model.metrics import LEVELS
from alerts.model.moments import rfc3339
from hub.readings.reading import AnyReading

RunState = Literal["Start", "Stop"]

FRAME_LEVELS = tuple(metric.name for metric in LEVELS if metric.sort != "window")
"""The levels of a frame and of the tables, dB."""


class FeedStatus(StrEnum):
    """How far the last known value of a unit can be trusted now."""

    OK = "ok"
    STALE = "stale"
    UNREACHABLE = "unreachable"
    OFF = "off"  # released: the hub has given the meter's socket up


class Failure(StrEnum):
    """Why a poll failed."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    MUTE = "mute"
    PROTOCOL = "protocol"
    WEDGED = "wedged"


class Snapshot(NamedTuple):
    """One reading of a unit. `at` is its receipt (aware UTC), `time` the same on the steady clock, seconds.

    `sequence` rises by one per reading and stays above every number ever sent, over restarts too.
    `run_state` is None when unknown or too old. `quality` names what is wrong with the values.
    `cadence_s` is how soon the next reading can be had: as asked for, or as fast as gap, meter and link allow.
    """

    unit_id: str
    sequence: int
    at: datetime
    time: float
    reading: AnyReading
    run_state: RunState | None
    run_started_at: datetime | None
    quality: tuple[str, ...]
    cadence_s: float


class StateChange(NamedTuple):
    """Something other than a level changed.

    `what` is reachability, run_state, released, sleep_mode, meter (another one answers), or a setting by its name.
    """

    unit_id: str
    at: datetime
    time: float
    what: str
    old: str | None
    new: str | None
    reason: str | None


class PollFailure(NamedTuple):
    """A poll that brought no reading. `reachable` is what the hub now holds to be true, None before it knows."""

    unit_id: str
    at: datetime
    time: float
    failure: Failure
    reachable: bool | None
    cadence_s: float


class MachineChange(NamedTuple):
    """A machine went from one status code to another. None is: not in the view, or without a status."""

    subject: str  # equipment/<feed>/<RESOURCEID>
    old: str | None
    new: str | None
    at: datetime
    reason: str | None


Event = Snapshot | StateChange | PollFailure


def stale_after_s(cadence_s: float) -> float:
    """The age in seconds from which a value no longer counts as the present."""
    return max(3 * cadence_s, 10.0)


def frame(
    unit_id: str,
    snapshot: Snapshot | None,
    status: FeedStatus,
    reason: str | None,
    now_s: float,
    dropped: int = 0,
    with_raw: bool = False,
    own: Iterable[str] = (),
) -> dict[str, Any]:
    """The frame of the WebSocket and of the API; every value is None before the first reading.

    A unit that has quantities of its `own`, or a reading of such, shows these in place of the levels.
    """
    if snapshot is None:
        values: dict[str, Any] = _shown(dict.fromkeys(own) or None, dict.fromkeys(FRAME_LEVELS))
        head: dict[str, Any] = {"sequence": None, "timestamp": None, "age_s": None}
        run: dict[str, Any] = {"measurement_state": None, "measurement_start_time": None}
        quality: list[str] = []
        raw = ""
    else:
        reading = snapshot.reading
        values = _shown(reading.quantities, {name: reading.value(name) for name in FRAME_LEVELS})
        age_s = max(0.0, round(now_s - snapshot.time, 3))
        if status is FeedStatus.OK and age_s > stale_after_s(snapshot.cadence_s):
            status = FeedStatus.STALE
        head = {"sequence": snapshot.sequence, "timestamp": rfc3339(snapshot.at), "age_s": age_s}
        started_at = snapshot.run_started_at
        run = {
            "measurement_state": snapshot.run_state,
            "measurement_start_time": rfc3339(started_at),
        }
        quality = list(snapshot.quality)
        raw = reading.raw if with_raw else ""
    body = {"unit_id": unit_id, **head, "feed_status": status.value, **run, "counter": None, **values}
    if reason is not None:
        body["reason"] = reason
    return {**body, "quality": quality, "dropped": dropped, "raw_payload": raw}


def _shown(quantities: Mapping[str, float | None] | None, levels: Mapping[str, float | None]) -> dict[str, Any]:
    return dict(levels) if quantities is None else {"quantities": dict(quantities)}
