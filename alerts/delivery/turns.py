"""Messages and groups that wait for their turn, in three queues: due later, due and new, due and missed. Pure."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from alerts.model.delivery import Delivery, Span


@dataclass(slots=True, eq=False)
class Message:
    """A delivery that waits or is out."""

    delivery: Delivery
    alerts: Mapping[str, Span]
    number: int  # the order in which they came
    due_s: float
    is_missed: bool  # it failed before, or waited while the receiver wanted no messages
    group: "Group | None" = None
    stamp: int = 0  # which of its entries in the queues is valid; 0: none
    is_out: bool = False
    first_s: float | None = None  # the first attempt that failed
    failed_s: float = 0.0
    early_retries: int = 0

    @property
    def created_at(self) -> datetime:
        """When the delivery was."""
        return self.delivery.created_at

    @property
    def weight(self) -> int:
        """The messages that it stands for."""
        return len(self.delivery.members) or 1


@dataclass(slots=True, eq=False)
class Group:
    """Messages that were never sent and may go as one digest."""

    key: str
    number: int
    due_s: float
    is_missed: bool
    created_at: datetime
    stamp: int = 0
    messages: dict[str, Message] = field(default_factory=dict)


Waiting = Message | Group


class Queues:
    """What waits is in one queue at most. What may not go yet when it comes up drops out, to be pushed again."""

    def __init__(self, may_go: Callable[[Waiting], bool]) -> None:
        self._may_go = may_go
        self._stamps = count(1)
        self._later: list[tuple[float, int, Waiting]] = []  # by when they are due
        self._new: list[tuple[int, int, Waiting]] = []  # in the order in which they came
        self._missed: list[tuple[tuple[datetime, int], int, Waiting]] = []  # oldest first

    def push(self, waiting: Waiting, now_s: float) -> None:
        """Put it where it belongs, out of where it was."""
        waiting.stamp = next(self._stamps)
        if waiting.due_s > now_s:
            heapq.heappush(self._later, (waiting.due_s, waiting.stamp, waiting))
        elif waiting.is_missed:
            heapq.heappush(self._missed, ((waiting.created_at, waiting.number), waiting.stamp, waiting))
        else:
            heapq.heappush(self._new, (waiting.number, waiting.stamp, waiting))

    def make_due(self, now_s: float) -> None:
        """Move what has become due."""
        while (waiting := self.later()) is not None and waiting.due_s <= now_s:
            self.push(waiting, now_s)

    def miss_new(self, now_s: float) -> None:
        """What was new has been missed; it is marked so already."""
        new, self._new = self._new, []
        for _, stamp, waiting in new:
            if waiting.stamp == stamp:
                self.push(waiting, now_s)

    def later(self) -> Waiting | None:
        """What is due next of what is not due."""
        return self._top(self._later)

    def new(self) -> Waiting | None:
        """The first of what is due and new."""
        return self._top(self._new)

    def missed(self) -> Waiting | None:
        """The oldest of what is due and was missed."""
        return self._top(self._missed)

    def clear(self) -> None:
        """Forget everything."""
        self._later.clear()
        self._new.clear()
        self._missed.clear()

    def _top(self, queue: list[tuple[Any, int, Waiting]]) -> Waiting | None:
        while queue:
            _, stamp, waiting = queue[0]
            if waiting.stamp == stamp:
                if self._may_go(waiting):
                    return waiting
                waiting.stamp = 0
            heapq.heappop(queue)
        return None
