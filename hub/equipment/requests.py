"""Refreshes on request: the feed's own task runs them between its cycles, and the callers wait for the outcome.

submit ──> waiting ──next_options──> running ──complete──> outcome
waiting or running ──the feed stops──> RequestRefused
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from hub.equipment.sync import Outcome

MAX_WAITING = 16


class RequestRefused(Exception):
    """The refresh was not made: the feed stopped meanwhile, or too many refreshes wait."""


class NotRunning(Exception):
    """The feed's task does not run, so no refresh can be made."""


@dataclass(frozen=True, slots=True)
class RefreshOptions:
    """`force`: read although the last answer is fresh. `accept_shrunken`: publish an answer that lacks machines."""

    force: bool = False
    accept_shrunken: bool = False


@dataclass(slots=True)
class _Request:
    options: RefreshOptions
    ended: anyio.Event = field(default_factory=anyio.Event)
    outcome: "Outcome | None" = None


class Requests:
    """A queue of at most sixteen requests. Equal requests that wait when a refresh begins share it."""

    def __init__(self) -> None:
        self._waiting: list[_Request] = []
        self._running: list[_Request] = []
        self._wakeup = anyio.Event()
        self._is_accepting = False

    async def submit(self, options: RefreshOptions) -> "Outcome":
        """Request a refresh and wait for its outcome. Raises `NotRunning`, `RequestRefused`."""
        if not self._is_accepting:
            raise NotRunning
        if len(self._waiting) >= MAX_WAITING:
            raise RequestRefused(f"{MAX_WAITING} refreshes wait already")
        request = _Request(options)
        self._waiting.append(request)
        self._wakeup.set()
        await request.ended.wait()
        if request.outcome is None:
            raise RequestRefused("the feed stopped before the refresh ended")
        return request.outcome

    @contextmanager
    def accepting(self) -> Iterator[None]:
        """Accept requests while the block runs; those that are left at its end are refused."""
        self._is_accepting = True
        try:
            yield
        finally:
            self._is_accepting = False
            self._running += self._waiting
            self._waiting = []
            self._end(None)

    async def wait(self, most_s: float) -> None:
        """Wait for a request, `most_s` seconds at most."""
        if self._waiting:
            return
        self._wakeup = anyio.Event()
        with anyio.move_on_after(most_s):
            await self._wakeup.wait()

    def next_options(self) -> RefreshOptions:
        """Begin the first waiting request and all equal ones; the options of a usual cycle when none waits."""
        options = self._waiting[0].options if self._waiting else RefreshOptions()
        self._running = [one for one in self._waiting if one.options == options]
        self._waiting = [one for one in self._waiting if one.options != options]
        return options

    def complete(self, outcome: "Outcome") -> None:
        """Give the outcome to the requests that were begun."""
        self._end(outcome)

    def _end(self, outcome: "Outcome | None") -> None:
        for request in self._running:
            request.outcome = outcome
            request.ended.set()
        self._running = []
