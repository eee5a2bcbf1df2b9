"""The answers of a feed: each has its age, and distinguishes an absent machine from an unknown plant."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts.model.moments import rfc3339
from hub.cache.memory import Tier
from hub.equipment.machines import Machine


@dataclass(frozen=True, slots=True)
class Head:
    """Age and source of an answer. Without a plant all but `stale`, `source` and `degraded` are None."""

    as_of: datetime | None
    age_s: float | None
    stale: bool
    generation: int | None
    source: Tier
    degraded: bool

    @property
    def etag(self) -> str:
        """Changes with the generation, and when the same generation becomes stale."""
        return f'"{self.generation or 0}{"-stale" if self.stale else ""}"'

    def as_json(self) -> dict[str, Any]:
        """The fields of a JSON body."""
        return {
            "as_of": rfc3339(self.as_of),
            "age_s": self.age_s,
            "stale": self.stale,
            "generation": self.generation,
            "source": self.source.value,
            "degraded": self.degraded,
        }


@dataclass(frozen=True, slots=True)
class Page:
    """Machines in the order of their RESOURCEID; `next_cursor` is None on the last page."""

    head: Head
    items: Sequence[Machine]
    next_cursor: str | None

    def body(self) -> bytes:
        """The JSON body `{items, next_cursor, as_of, …}`."""
        return _body("items", _array(self.items), {"next_cursor": self.next_cursor}, self.head)


@dataclass(frozen=True, slots=True)
class Found:
    """The requested machine."""

    head: Head
    machine: Machine

    def body(self) -> bytes:
        """The JSON body `{record, as_of, …}`."""
        return _body("record", self.machine.body, {}, self.head)


@dataclass(frozen=True, slots=True)
class NotFound:
    """The plant has no such machine."""

    head: Head


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The plant is unknown: no hub has read the view since the start."""

    head: Head
    reason: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """The machines of the requested ids, in their order, and the ids that the plant does not have."""

    head: Head
    found: Sequence[Machine]
    missing: Sequence[str]

    def body(self) -> bytes:
        """The JSON body `{found, missing, as_of, …}`."""
        return _body("found", _array(self.found), {"missing": list(self.missing)}, self.head)


def _array(machines: Sequence[Machine]) -> bytes:
    return b"[%b]" % b",".join([machine.body for machine in machines])


def _body(name: str, ready: bytes, rest: dict[str, Any], head: Head) -> bytes:
    """Join encoded bodies: encoding 2,600 records again would block the event loop for 100 ms."""
    return b'{"%b":%b,%b' % (name.encode(), ready, json.dumps({**rest, **head.as_json()})[1:].encode())
