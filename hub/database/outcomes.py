"""Which parts of the storage fail, since when and why, from the outcomes of reads and writes.

A part has sources (reads, writes, checks). Times are seconds of the steady clock:

    no entry ──failed──> suspected ──2 s after the first failure──> failing
    suspected or failing ──worked, and 2 s after the last failure──> no entry
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import structlog

log = structlog.get_logger()

_CONFIRM_S = 2.0


@dataclass(slots=True)
class _Source:
    """The failures of one source of a part. All times in seconds of the steady clock."""

    since_s: float  # the first failure
    failed_s: float  # the last failure
    reason: str
    worked: bool = False  # after the last failure
    is_failing: bool = False


@dataclass(slots=True)
class Outcomes:
    """A part fails once one of its sources has failed for 2 s, and works again 2 s after the last failure.

    So a short lock raises no alert, and a part that fails every other time counts as failing. It calls
    `on_change(part, reason)` at each change, with None when the part works again.
    """

    on_change: Callable[[str, str | None], None] = lambda part, reason: None
    clock_s: Callable[[], float] = monotonic
    failing: dict[str, str] = field(default_factory=dict)
    """The reason by failing part, as `describe_error` names it."""
    _sources: dict[tuple[str, str], _Source] = field(default_factory=dict)

    def failed(self, part: str, source: str, reason: str) -> None:
        """Record a failure."""
        now_s = self.clock_s()
        known = self._sources.get((part, source))
        if known is None:
            self._sources[part, source] = _Source(now_s, now_s, reason)
        else:
            known.failed_s, known.reason, known.worked = now_s, reason, False
        self.settle()

    def worked(self, part: str, source: str) -> None:
        """Record a success."""
        known = self._sources.get((part, source))
        if known is not None:
            known.worked = True
            self.settle()

    def last_reason(self, part: str) -> str | None:
        """The reason of the last failure without a success since, even within the first 2 s; else None."""
        failed = [source for (of, _), source in self._sources.items() if of == part and not source.worked]
        return max(failed, key=lambda source: source.failed_s).reason if failed else None

    def settle(self) -> None:
        """Apply the changes that are due by now. Call it about every second."""
        if not self._sources:
            return
        now_s = self.clock_s()
        for key, source in list(self._sources.items()):
            if source.worked and now_s - source.failed_s >= _CONFIRM_S:
                del self._sources[key]
            elif now_s - source.since_s >= _CONFIRM_S:
                source.is_failing = True
        for part in {part for part, _ in self._sources} | set(self.failing):
            self._settle(part)

    def _settle(self, part: str) -> None:
        reasons = [s.reason for (of, _), s in self._sources.items() if of == part and s.is_failing]
        before, reason = self.failing.get(part), reasons[0] if reasons else None
        if reason == before:
            return
        if reason is None:
            del self.failing[part]
            log.info("storage works again", part=part)
        else:
            self.failing[part] = reason
            log.error("storage is failing", part=part, reason=reason)
        self.on_change(part, reason)
