"""Whether clients ask for more connections than there are places for, and who: pure, looked at every second."""

from collections import Counter

_WINDOW_S = 10.0
_CALM_S = 60.0
_MANY_TIMED_OUT = 50  # in a window: browsers open a few connections that they never use
_ADDRESSES = 1024  # counted apart; the rest is one more


class Overload:
    """Told of connections as they come and are turned away; gives the reason for an alert, once, and its end."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._opened: Counter[str] = Counter()
        self._turned_away: Counter[str] = Counter()
        self._timed_out: Counter[str] = Counter()
        self._began_s = 0.0
        self._last_s = 0.0

    def opened(self, address: str) -> None:
        """A connection has come."""
        self._count(self._opened, address)

    def turned_away(self, address: str) -> None:
        """There was no place for it, or it had to make room."""
        self._count(self._turned_away, address)

    def timed_out(self, address: str) -> None:
        """Its client left it standing."""
        self._count(self._timed_out, address)

    def look(self, now_s: float) -> bool:
        """True when `reason` has changed: it is one sentence while there is an overload, None once that is over."""
        is_news = False
        if self._is_overload():
            self._last_s = now_s
            if self.reason is None:
                self.reason, is_news = self._sentence(), True
        elif self.reason is not None and now_s >= self._last_s + _CALM_S:
            self.reason, is_news = None, True
        if now_s >= self._began_s + _WINDOW_S:
            self._began_s = now_s
            for counts in (self._opened, self._turned_away, self._timed_out):
                counts.clear()
        return is_news

    def _is_overload(self) -> bool:
        return bool(self._turned_away) or self._timed_out.total() >= _MANY_TIMED_OUT

    def _sentence(self) -> str:
        counts = self._turned_away or self._timed_out
        address = (self._opened or counts).most_common(1)[0][0]
        came = max(self._opened[address], counts[address])
        fate = "refused or closed to make room" if self._turned_away else "closed as nothing came over them"
        return f"{came:,} connections from {address} within {_WINDOW_S:g} s, {counts[address]:,} of them {fate}"

    def _count(self, counts: Counter[str], address: str) -> None:
        counts[address if address in counts or len(counts) < _ADDRESSES else "other addresses"] += 1
