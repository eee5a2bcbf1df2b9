"""Runs children, reports their crashes, and restarts them within a policy.

    spawn, start ──> RUNNING ──returns or is cancelled──> STOPPED
    RUNNING ──crashes──> RESTARTING ──back-off──> RUNNING
    RUNNING ──crashes too often──> FAILED ──start──> RUNNING      an essential child ──> EssentialChildFailed

Cancellation always wins over a crash: a child that is cancelled is never restarted.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from random import random
from traceback import format_exception
from types import TracebackType

import anyio
import structlog
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled

from hub.runtime.backoff import backoff
from hub.runtime.clock import Clock

log = structlog.get_logger()


class ChildState(StrEnum):
    """The state of a child."""

    RUNNING = "running"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class EssentialChildFailed(Exception):
    """An essential child crashed too often; the process must end."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """A child with `crashes` crashes within `period_s` seconds has failed."""

    crashes: int = 5
    period_s: float = 60.0
    first_delay_s: float = 0.2
    max_delay_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Crash:
    """The error that ended a child.

    `error` and `traceback` are for the log only: they may quote the child's data. `kind` may be shown to all.
    """

    at: datetime
    kind: str
    error: str
    traceback: str


@dataclass(slots=True)
class Child:
    """A supervised child, as `/api/supervisor` shows it."""

    name: str
    run: Callable[[], Awaitable[None]]
    essential: bool
    state: ChildState = ChildState.STOPPED
    restarts: int = 0
    started_at: datetime | None = None
    last_crash: Crash | None = None
    scope: anyio.CancelScope | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)


class Supervisor:
    """A group of children that stop together; an async context manager.

    Leaving the block cancels the children. It calls `on_failed(name, reason)` when a child has failed, without the
    text of its error, and with reason None when it runs again.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        policy: RestartPolicy | None = None,
        on_failed: Callable[[str, str | None], None] = lambda name, reason: None,
    ) -> None:
        self.name = name
        self.children: dict[str, Child] = {}
        self._clock = clock
        self._policy = policy or RestartPolicy()
        self._on_failed = on_failed
        self._tasks: TaskGroup
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Supervisor":
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._tasks.cancel_scope.cancel()
        return await self._stack.__aexit__(kind, error, trace)

    def spawn(self, name: str, run: Callable[[], Awaitable[None]], essential: bool = False) -> Child:
        """Start a child; the name must be free."""
        if name in self.children:
            raise ValueError(f"{self.name} already has a child {name!r}")
        child = self.children[name] = Child(name, run, essential)
        self._start(child)
        return child

    def start(self, name: str) -> None:
        """Start a failed or stopped child again; does nothing for a running one."""
        child = self.children[name]
        if child.state in (ChildState.FAILED, ChildState.STOPPED):
            if child.state is ChildState.FAILED:
                self._on_failed(name, None)
            self._start(child)

    async def remove(self, name: str) -> None:
        """Cancel a child, wait for its end, and remove it."""
        child = self.children[name]
        if child.scope is not None:
            child.scope.cancel()
        await child.ended.wait()
        self.children.pop(name, None)
        if child.state is ChildState.FAILED:
            self._on_failed(name, None)

    @property
    def running(self) -> list[str]:
        """Names of the children that have not ended."""
        return [name for name, child in self.children.items() if not child.ended.is_set()]

    def _start(self, child: Child) -> None:
        child.ended = anyio.Event()
        child.scope = anyio.CancelScope()
        child.state = ChildState.RUNNING
        self._tasks.start_soon(self._supervise, child, child.scope, name=f"{self.name}/{child.name}")

    async def _supervise(self, child: Child, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await self._run_until_failed(child)
        finally:
            if child.state is not ChildState.FAILED:
                child.state = ChildState.STOPPED
            child.ended.set()

    async def _run_until_failed(self, child: Child) -> None:
        crashes: deque[float] = deque()
        while True:
            child.state = ChildState.RUNNING
            child.started_at = self._clock.now()
            try:
                await child.run()
            except BaseException as error:
                crash = without_cancellation(error)
                if crash is None:
                    raise
                self._report(child, crash)
            else:
                return
            await checkpoint_if_cancelled()
            now = anyio.current_time()
            crashes.append(now)
            while now - crashes[0] > self._policy.period_s:
                crashes.popleft()
            if len(crashes) >= self._policy.crashes:
                self._fail(child)
                return
            child.state = ChildState.RESTARTING
            await anyio.sleep(backoff(len(crashes), self._policy.first_delay_s, self._policy.max_delay_s, random()))
            child.restarts += 1

    def _report(self, child: Child, crash: BaseException) -> None:
        trace, cause = "".join(format_exception(crash)), _cause_of(crash)
        kind = type(cause).__name__
        child.last_crash = Crash(self._clock.now(), kind, f"{kind}: {cause}", trace)
        log.error("child crashed", group=self.name, child=child.name, error=child.last_crash.error, traceback=trace)

    def _fail(self, child: Child) -> None:
        child.state = ChildState.FAILED
        crash, crashes = child.last_crash, self._policy.crashes
        assert crash is not None
        event = "child crashed too often and is not restarted"
        log.error(event, group=self.name, child=child.name, crashes=crashes, error=crash.error)
        if child.essential:
            raise EssentialChildFailed(f"{child.name} crashed {crashes} times: {crash.error}")
        self._on_failed(child.name, f"crashed {crashes} times, last with {crash.kind}; the log has the details")


def _cause_of(crash: BaseException) -> BaseException:
    """The first error in a group, because the text of a group itself is not helpful."""
    while isinstance(crash, BaseExceptionGroup):
        crash = crash.exceptions[0]
    return crash


def without_cancellation(error: BaseException) -> BaseException | None:
    """The part of an exception that is a crash; None for a cancellation alone.

    KeyboardInterrupt and SystemExit are not crashes of a child, and are raised again.
    """
    cancelled = anyio.get_cancelled_exc_class()
    crash: BaseException | None = error
    if isinstance(error, BaseExceptionGroup):
        crash = error.split(cancelled)[1]
    elif isinstance(error, cancelled):
        crash = None
    if isinstance(crash, KeyboardInterrupt | SystemExit):
        raise crash
    return crash
