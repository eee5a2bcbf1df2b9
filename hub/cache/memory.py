"""The process tier: the newest value of each key, with the least recently used one evicted first."""

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from hub.runtime.clock import Clock

T = TypeVar("T")


class Tier(StrEnum):
    """The tier that a value came from."""

    L1 = "l1"
    L2 = "l2"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One immutable value. `time` is when the work that made it began, in seconds of this process' steady clock."""

    generation: int
    time: float
    value: T
    tier: Tier


class Memory(Generic[T]):
    """At most `size` keys; evicts the least recently used one. An entry counts as checked for `ttl_s` seconds."""

    def __init__(self, clock: Clock, ttl_s: float, size: int) -> None:
        self.evicted = 0
        self._clock = clock
        self._ttl_s = ttl_s
        self._size = size
        self._entries: OrderedDict[str, Entry[T]] = OrderedDict()
        self._checked_s: dict[str, float] = {}

    def peek(self, key: str) -> Entry[T] | None:
        """The entry of any age; None without one."""
        return self._entries.get(key)

    def use(self, key: str) -> Entry[T] | None:
        """The entry if it counts as checked, else None; it becomes the most recently used one."""
        if self._clock.steady() - self._checked_s.get(key, float("-inf")) >= self._ttl_s:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def keys(self) -> list[str]:
        """The keys that are held now."""
        return list(self._entries)

    def adopt(self, key: str, entry: Entry[T]) -> bool:
        """Store an entry; False when the stored one is as new."""
        held = self._entries.get(key)
        if held is not None and held.generation >= entry.generation:
            return False
        self._entries[key] = entry
        self._entries.move_to_end(key)
        self.mark_checked(key)
        while len(self._entries) > self._size:
            self.drop(next(iter(self._entries)))
            self.evicted += 1
        return True

    def mark_checked(self, key: str) -> None:
        """Record that the entry, if any, was checked now to be the newest."""
        if key in self._entries:
            self._checked_s[key] = self._clock.steady()

    def drop(self, key: str) -> None:
        """Remove a key."""
        self._entries.pop(key, None)
        self._checked_s.pop(key, None)
