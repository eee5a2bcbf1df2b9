"""Deliveries waiting for one receiver, in lanes: at most one of a lane is out, so its order holds."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Lane(Generic[T]):
    waiting: deque[T] = field(default_factory=deque)
    due_s: float = 0.0
    is_out: bool = False
    turn: int = 0  # which of its heap entries is valid


class Lanes(Generic[T]):
    """First come, first served among lanes whose head is due; a head that waits holds only its own lane."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane[T]] = {}
        self._heap: list[tuple[float, int, str]] = []  # (due, turn, lane): a turn rises, so ties keep order
        self._turn = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: str) -> bool:
        return key in self._lanes

    def add(self, key: str, item: T, due_s: float) -> None:
        """Append to a lane; `due_s` counts when the item is its head."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        lane.waiting.append(item)
        self._size += 1
        if len(lane.waiting) == 1 and not lane.is_out:
            self._line_up(key, lane, due_s)

    def take(self, now_s: float) -> tuple[str, T] | None:
        """The next due head, now out; None when none is due."""
        while self._heap and self._heap[0][0] <= now_s:
            _, turn, key = heapq.heappop(self._heap)
            lane = self._lanes.get(key)
            if lane is not None and lane.turn == turn and not lane.is_out:
                lane.is_out = True
                return key, lane.waiting[0]
        return None

    def waiting(self, key: str) -> list[T]:
        """What is in a lane, its head first."""
        return list(self._lanes[key].waiting)

    def merge(self, key: str, item: T, count: int) -> None:
        """Put one item in the place of the head that is out and of those behind it, `count` in all."""
        lane = self._lanes[key]
        self._size -= count - 1
        lane.waiting = deque([item, *islice(lane.waiting, count, None)])

    def put_back(self, key: str, item: T, due_s: float) -> None:
        """The head that was out did not get through: it is due again, and its lane waits with it."""
        lane = self._lanes.get(key)
        if lane is not None and lane.is_out:  # else it was cleared meanwhile
            lane.waiting[0] = item
            self._line_up(key, lane, due_s)

    def part(
        self, key: str, item: T, own_key: str, belongs: Callable[[T], bool], due_s: float, now_s: float
    ) -> None:
        """The head that was out, now `item`, waits in a lane of its own with what belongs to it; the rest is due.

        There is no lane `own_key` so far.
        """
        lane = self._lanes.get(key)
        if lane is None or not lane.is_out:  # it was cleared meanwhile
            return
        behind = list(lane.waiting)[1:]
        own = self._lanes[own_key] = _Lane(deque([item, *filter(belongs, behind)]))
        self._line_up(own_key, own, due_s)
        lane.waiting = deque(other for other in behind if not belongs(other))
        if lane.waiting:
            self._line_up(key, lane, now_s)
        else:
            del self._lanes[key]

    def finish(self, key: str, now_s: float) -> None:
        """The head that was out is done with, whatever became of it: what waits behind it is due."""
        lane = self._lanes.get(key)
        if lane is None or not lane.is_out:  # it was cleared meanwhile
            return
        lane.waiting.popleft()
        self._size -= 1
        if lane.waiting:
            self._line_up(key, lane, now_s)
        else:
            del self._lanes[key]

    def next_due_s(self) -> float | None:
        """When a head that is not out is due; None when none waits."""
        while self._heap:
            due_s, turn, key = self._heap[0]
            lane = self._lanes.get(key)
            if lane is not None and lane.turn == turn and not lane.is_out:
                return due_s
            heapq.heappop(self._heap)
        return None

    def recover(self, now_s: float) -> None:
        """Nothing is out any more, whoever took it is gone: those heads are due again."""
        for key, lane in self._lanes.items():
            if lane.is_out:
                self._line_up(key, lane, now_s)

    def clear(self) -> None:
        """Forget everything; what is out may still be finished or put back, to no effect."""
        self._lanes.clear()
        self._heap.clear()
        self._size = 0

    def _line_up(self, key: str, lane: _Lane[T], due_s: float) -> None:
        self._turn += 1
        lane.turn, lane.is_out, lane.due_s = self._turn, False, due_s
        heapq.heappush(self._heap, (due_s, self._turn, key))
