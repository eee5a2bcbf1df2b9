"""The long-running service: runs a hub from a file until a signal, and reloads the file when it changes."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import structlog

from hub.app.composition import Hub, open_hub
from hub.app.descriptors import raise_limit
from hub.config.file import Loaded, load_config
from hub.config.problem import ConfigError
from hub.config.reload import watch_files
from hub.fields.spelling import counted
from hub.runtime.interpreter import settle_interpreter
from hub.runtime.memory_upkeep import settle_allocator
from hub.runtime.supervisor import EssentialChildFailed

log = structlog.get_logger()

STOP_WITHIN_S = 5.0
_READ_WITHIN_S = 30.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def serve(loaded: Loaded, path: Path, announce: Callable[[Hub], None]) -> int:
    """Run the hub until SIGTERM or SIGINT; returns the exit code. A second signal ends the process at once."""
    raise_limit()
    settle_allocator()
    stopping = _Stopping()
    async with anyio.create_task_group() as tasks:
        hangup = _Hangup()
        with anyio.open_signal_receiver(*_SIGNALS) as signals:

            async def handle_signals() -> None:
                async for number in signals:
                    if number == signal.SIGHUP:
                        hangup.received.set()
                    elif not stopping.begin():
                        os._exit(1)

            tasks.start_soon(handle_signals)
            try:
                async with open_hub(loaded.config) as hub:
                    stopping.hub = hub
                    reloader = _Reloader(hub, path, loaded)
                    settle_interpreter()
                    announce(hub)
                    await _until_stopped(stopping, reloader, hangup)
            except BaseExceptionGroup as errors:
                failed, rest = errors.split(EssentialChildFailed)
                if rest is not None or failed is None:
                    raise
                log.critical("the hub cannot go on", reason=str(_first(failed)))
                return 1
            finally:
                stopping.end()
                tasks.cancel_scope.cancel()
    log.info("stopped")
    return 0


async def _until_stopped(stopping: "_Stopping", reloader: "_Reloader", hangup: "_Hangup") -> None:
    async with anyio.create_task_group() as tasks:

        async def reload_on_hangup() -> None:
            while True:
                await hangup.received.wait()
                # before the file is read, so that a signal during the read causes another reload
                hangup.received = anyio.Event()
                await reloader.reload()

        tasks.start_soon(reload_on_hangup)
        tasks.start_soon(reloader.run_watch, stopping.requested)
        try:
            await stopping.requested.wait()
        finally:
            stopping.requested.set()  # do not wait for the thread that watches the files
        tasks.cancel_scope.cancel()


class _Hangup:
    """A SIGHUP that has been received and not yet handled."""

    def __init__(self) -> None:
        self.received = anyio.Event()


class _Stopping:
    """The state of the stop, and the timer that ends the process if the stop hangs."""

    def __init__(self) -> None:
        self.requested = anyio.Event()
        self.hub: Hub | None = None
        self._timer: threading.Timer | None = None

    def begin(self) -> bool:
        """Request the stop; False when it was requested before."""
        if self.requested.is_set():
            return False
        log.info("stopping")
        self.requested.set()
        self._timer = threading.Timer(STOP_WITHIN_S, self._end_by_force)
        self._timer.daemon = True
        self._timer.start()
        return True

    def end(self) -> None:
        """Cancel the timer, because the hub has stopped."""
        if self._timer is not None:
            self._timer.cancel()

    def _end_by_force(self) -> None:
        hung = [] if self.hub is None else [f"{s.name}/{n}" for s in self.hub.parts.supervisors for n in s.running]
        log.critical("not stopped in time, ending now", within_s=STOP_WITHIN_S, running=hung)
        os._exit(1)


class _Reloader:
    """Applies a changed configuration; an invalid one changes nothing, is logged, shown, and raises an alert."""

    def __init__(self, hub: Hub, path: Path, loaded: Loaded) -> None:
        self._hub = hub
        self._path = path
        self._files = loaded.files
        self._stamps = loaded.stamps
        self._lock = anyio.Lock()

    async def run_watch(self, stop: anyio.Event) -> None:
        """Reload whenever a file of the configuration changes, until `stop` is set."""
        while not stop.is_set():
            files = self._files
            async for _ in watch_files(files, stop, self._stamps):
                await self.reload()
                if self._files != files:
                    break

    async def reload(self) -> None:
        """Read the file again, and apply what has changed."""
        async with self._lock:
            try:
                with anyio.fail_after(_READ_WITHIN_S):
                    loaded = await anyio.to_thread.run_sync(load_config, self._path, abandon_on_cancel=True)
            except ConfigError as error:
                log.error("configuration rejected, nothing changed", problems=str(error).splitlines())
                reason, where = counted(len(error.problems), "problem"), error.problems[0].where
                self._hub.config_rejected(f"{reason}: {error.problems[0]}", f"{reason}, first at {where}")
                # the next change may be in a file that only the rejected configuration names
                self._files = tuple(dict.fromkeys([*self._files, *error.files]))
                self._stamps = {**self._stamps, **error.stamps}
            except TimeoutError:
                reason = f"reading it took more than {_READ_WITHIN_S:g} s; check the disk it is on"
                log.error("configuration rejected, nothing changed", problems=[reason])
                self._hub.config_rejected(reason, reason)
            else:
                self._files, self._stamps = loaded.files, loaded.stamps
                changes = await self._hub.reload(loaded.config)
                self._hub.config_rejected(None)
                log.info("configuration applied" if changes else "configuration unchanged", file=str(self._path))


def _first(group: BaseExceptionGroup[EssentialChildFailed]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
