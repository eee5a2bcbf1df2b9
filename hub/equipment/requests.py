"""Refreshes that people ask for: the feed's own task makes them between its cycles, and who asks waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from hub.equipment.sync import Outcome

MOST = 16


class RequestRefused(Exception):
    """Nobody makes this refresh now: the feed stopped meanwhile, or has too many to make."""


class NotRunning(Exception):
    """The feed has no task that could make a refresh."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`force`: read although the last answer is fresh. `accept_shrunken`: publish one that lacks machines."""

    force: bool = False
    accept_shrunken: bool = False


@dataclass(slots=True)
class _Request:
    wish: Wish
    ended: anyio.Event = field(default_factory=anyio.Event)
    outcome: "Outcome | None" = None


class Requests:
    """At most sixteen at once. Equal ones that wait when a refresh begins are one refresh."""

    def __init__(self) -> None:
        self._waiting: list[_Request] = []
        self._taken: list[_Request] = []
        self._wakeup = anyio.Event()
        self._is_served = False

    async def ask(self, wish: Wish) -> "Outcome":
        """How the refresh ended. Raises `NotRunning`, `RequestRefused`."""
        if not self._is_served:
            raise NotRunning
        if len(self._waiting) >= MOST:
            raise RequestRefused(f"{MOST} refreshes wait already")
        request = _Request(wish)
        self._waiting.append(request)
        self._wakeup.set()
        await request.ended.wait()
        if request.outcome is None:
            raise RequestRefused("the feed stopped before the refresh ended")
        return request.outcome

    @contextmanager
    def served(self) -> Iterator[None]:
        """Requests are taken for the block; those that are left at its end are refused."""
        self._is_served = True
        try:
            yield
        finally:
            self._is_served = False
            self._taken += self._waiting
            self._waiting = []
            self._end(None)

    async def wait(self, most_s: float) -> None:
        """Until somebody asks, `most_s` seconds at most."""
        if self._waiting:
            return
        self._wakeup = anyio.Event()
        with anyio.move_on_after(most_s):
            await self._wakeup.wait()

    def take(self) -> Wish:
        """What the first of those who wait asks for; the usual cycle when nobody does."""
        wish = self._waiting[0].wish if self._waiting else Wish()
        self._taken = [one for one in self._waiting if one.wish == wish]
        self._waiting = [one for one in self._waiting if one.wish != wish]
        return wish

    def answer(self, outcome: "Outcome") -> None:
        """Tell everybody whose request was taken."""
        self._end(outcome)

    def _end(self, outcome: "Outcome | None") -> None:
        for request in self._taken:
            request.outcome = outcome
            request.ended.set()
        self._taken = []
