"""Detects that clients open more connections than the hub accepts, and which address opens the most. Pure."""

from collections import Counter

_WINDOW_S = 10.0
_CALM_S = 60.0  # without a refusal, until the overload is over
_MANY_TIMED_OUT = 50  # in a window: browsers open a few connections that they never use
_ADDRESSES = 1024  # counted separately; all further ones are counted together


class Overload:
    """Counts connections by address in windows of 10 s; `reason` is set while there is an overload."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._opened: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._timed_out: Counter[str] = Counter()
        self._began_s = 0.0
        self._last_s = 0.0

    def opened(self, address: str) -> None:
        """Count a connection that was accepted from the kernel."""
        self._count(self._opened, address)

    def refused(self, address: str) -> None:
        """Count a connection that was refused, or evicted for another one."""
        self._count(self._refused, address)

    def timed_out(self, address: str) -> None:
        """Count a connection that was closed because its client sent or read nothing for too long."""
        self._count(self._timed_out, address)

    def update(self, now_s: float) -> bool:
        """Set `reason` to a sentence at the start of an overload, to None after its end; True when it changed.

        Call it about every second.
        """
        has_changed = False
        if self._is_overload():
            self._last_s = now_s
            if self.reason is None:
                self.reason, has_changed = self._sentence(), True
        elif self.reason is not None and now_s >= self._last_s + _CALM_S:
            self.reason, has_changed = None, True
        if now_s >= self._began_s + _WINDOW_S:
            self._began_s = now_s
            for counts in (self._opened, self._refused, self._timed_out):
                counts.clear()
        return has_changed

    def _is_overload(self) -> bool:
        return bool(self._refused) or self._timed_out.total() >= _MANY_TIMED_OUT

    def _sentence(self) -> str:
        counts = self._refused or self._timed_out
        address = (self._opened or counts).most_common(1)[0][0]
        came = max(self._opened[address], counts[address])
        fate = "refused or closed to make room" if self._refused else "closed as nothing came over them"
        return f"{came:,} connections from {address} within {_WINDOW_S:g} s, {counts[address]:,} of them {fate}"

    def _count(self, counts: Counter[str], address: str) -> None:
        counts[address if address in counts or len(counts) < _ADDRESSES else "other addresses"] += 1
