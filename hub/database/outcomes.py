"""What the database does with each promise of the hub: which fail, since when, and why."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import structlog

log = structlog.get_logger()

_SETTLED_S = 2.0


@dataclass(slots=True)
class _Source:
    """One way in which a promise is put to the test. All times in seconds of the steady clock."""

    since_s: float
    failed_s: float
    reason: str
    worked: bool = False  # since `failed_s`
    is_failing: bool = False


@dataclass(slots=True)
class Outcomes:
    """A promise fails once a source of it has failed for 2 s, and is kept again 2 s after its last failure.

    So a lock of a moment raises nothing, and what fails every other time is failing. `on_change(promise, reason)`
    hears of each change, with None when the promise is kept again.
    """

    on_change: Callable[[str, str | None], None] = lambda promise, reason: None
    clock_s: Callable[[], float] = monotonic
    failing: dict[str, str] = field(default_factory=dict)
    """Reason by promise, in words of `describe_trouble`."""
    _sources: dict[tuple[str, str], _Source] = field(default_factory=dict)

    def failed(self, promise: str, source: str, reason: str) -> None:
        """An attempt failed."""
        now_s = self.clock_s()
        known = self._sources.get((promise, source))
        if known is None:
            self._sources[promise, source] = _Source(now_s, now_s, reason)
        else:
            known.failed_s, known.reason, known.worked = now_s, reason, False
        self.settle()

    def worked(self, promise: str, source: str) -> None:
        """An attempt did what it should."""
        known = self._sources.get((promise, source))
        if known is not None:
            known.worked = True
            self.settle()

    def last_reason(self, promise: str) -> str | None:
        """Why it failed last, also where that is not clear yet to be more than a moment."""
        failed = [source for (of, _), source in self._sources.items() if of == promise and not source.worked]
        return max(failed, key=lambda source: source.failed_s).reason if failed else None

    def settle(self) -> None:
        """Take up what has become clear with time; to be called once a second or so."""
        if not self._sources:
            return
        now_s = self.clock_s()
        for key, source in list(self._sources.items()):
            if source.worked and now_s - source.failed_s >= _SETTLED_S:
                del self._sources[key]
            elif now_s - source.since_s >= _SETTLED_S:
                source.is_failing = True
        for promise in {promise for promise, _ in self._sources} | set(self.failing):
            self._settle(promise)

    def _settle(self, promise: str) -> None:
        reasons = [s.reason for (of, _), s in self._sources.items() if of == promise and s.is_failing]
        before, reason = self.failing.get(promise), reasons[0] if reasons else None
        if reason == before:
            return
        if reason is None:
            del self.failing[promise]
            log.info("storage works again", part=promise)
        else:
            self.failing[promise] = reason
            log.error("storage is failing", part=promise, reason=reason)
        self.on_change(promise, reason)
