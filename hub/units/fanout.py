"""One source, many subscribers: each has a bounded queue of its own, and loses its oldest items when slow."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Subscription(Generic[T]):
    """One subscriber's view: `async for item in subscription`. Ends when it or its fan-out is closed."""

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._wakeup: anyio.Event | None = None
        self._is_closed = False
        self.dropped = 0

    def __aiter__(self) -> "Subscription[T]":
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._is_closed:
                raise StopAsyncIteration
            self._wakeup = anyio.Event()
            await self._wakeup.wait()
        return self._items.popleft()

    def drain_nowait(self) -> list[T]:
        """Everything queued, oldest first."""
        items = list(self._items)
        self._items.clear()
        return items

    def offer_nowait(self, item: T) -> None:
        """Queue one item; when full the oldest goes, and is counted in `dropped`."""
        if self._is_closed:
            return
        if len(self._items) >= self._size:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._wake()

    def close(self) -> None:
        """No more items; what is queued can still be read."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None:
            self._wakeup.set()
            self._wakeup = None

    def __len__(self) -> int:
        return len(self._items)


class Fanout(Generic[T]):
    """Publishes to all present subscribers; never waits for any of them."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription[T]] = set()
        self._dropped_by_gone = 0
        self._is_closed = False

    @contextmanager
    def subscribe(self, size: int = 64) -> Iterator[Subscription[T]]:
        """A subscription that gets everything published from now on, holding at most `size` items."""
        subscription: Subscription[T] = Subscription(size)
        if self._is_closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            self._dropped_by_gone += subscription.dropped
            subscription.close()

    def publish_nowait(self, item: T) -> None:
        """Hand the item to every subscriber."""
        for subscription in self._subscriptions:
            subscription.offer_nowait(item)

    def close(self) -> None:
        """End every subscription, present and future."""
        self._is_closed = True
        for subscription in self._subscriptions:
            subscription.close()

    @property
    def subscribers(self) -> int:
        """How many subscribe now."""
        return len(self._subscriptions)

    @property
    def dropped(self) -> int:
        """Items lost by slow subscribers so far, those that have left included."""
        return self._dropped_by_gone + sum(s.dropped for s in self._subscriptions)
