"""The connections of the web server: how many there may be, which make room, and which have stood still too long.

Bookkeeping only: no clock and no socket. A connection is *waiting* while the hub is owed something by its client:
a request, the rest of one, or that it reads what was sent. It is closed when that takes too long, and before that
when a new connection needs its place: the one that has waited longest, of the address that has most of them, but
not in its first twentieth of a second. So whoever opens connections and says nothing pushes out their own, and a
request that comes whole is always answered, also in the middle of a burst of connections from its own address.

    HEAD ──head──> BODY ──body──> ANSWERING ──> IDLE ──first byte──> HEAD
    HEAD ──head without a body──> ANSWERING     BODY ──answered before its end──> DISCARDING ──> IDLE
    HEAD ──upgrade──> SOCKET
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

STALLED_S = 30.0
"""How long a client may leave unread what was sent to it."""

_PLACES = 1024  # unless told otherwise
_UNSENT_BYTES = 64 << 20
_PATIENCE_S = 1.0
_GRACE_S = 0.05  # for a client between its connection and its request; more would make a burst wait too long
_SHARE = 2  # of the places, the part that one address may keep waiting
_BUSY_SHARE = 0.75


class Phase(Enum):
    """What a connection is doing."""

    HEAD = "head"
    BODY = "body"
    ANSWERING = "answering"
    DISCARDING = "discarding"
    IDLE = "idle"
    SOCKET = "socket"


_LIMITS_S = {Phase.HEAD: 10.0, Phase.BODY: 30.0, Phase.DISCARDING: 2.0, Phase.IDLE: 20.0}
"""How long a phase may last in all, however many bytes come in it."""


class Transport(Protocol):
    """What closes a connection, and knows what waits to be sent."""

    def abort(self) -> None: ...
    def close(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...


@dataclass(slots=True, eq=False)
class Connection:
    """One of the places. `progress` counts what its client has read in between."""

    address: str
    since_s: float
    table: "Connections" = field(repr=False)
    phase: Phase = Phase.HEAD
    is_stalled: bool = False
    progress: int = 0
    transport: Transport | None = None
    is_closed: bool = False
    read_s: float = 0.0
    seen: tuple[int, int] = (0, 0)

    @property
    def is_waiting(self) -> bool:
        """True while its client is behind."""
        return self.is_stalled or self.phase in _LIMITS_S

    def enter(self, phase: Phase, now_s: float) -> None:
        """Begin a phase, also the one it was in."""
        self.phase, self.since_s = phase, now_s
        self.table.requeue(self)

    def stall(self, is_stalled: bool) -> None:
        """The client does not read as fast as the hub sends, or does again."""
        self.is_stalled = is_stalled
        self.progress += 1
        self.table.requeue(self)

    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def unread_since(self, now_s: float) -> float:
        """Since when nothing was read, to be asked at least every few seconds; now when nothing is unsent."""
        seen = self.unsent(), self.progress
        if seen[0] == 0 or seen != self.seen:
            self.seen, self.read_s = seen, now_s
        return self.read_s

    def close(self) -> None:
        """End it, at once where its client is behind, and give its place up."""
        self.is_closed = True
        self.leave()
        if self.transport is not None:
            if self.transport.get_write_buffer_size():
                self.transport.abort()
            else:
                self.transport.close()

    def leave(self) -> None:
        """Give the place up."""
        self.table.remove(self)


@dataclass(slots=True)
class ConnectionCounts:
    """What has become of connections since the start."""

    accepted: int = 0
    refused: int = 0
    pushed_out: int = 0
    timed_out: int = 0
    stalled: int = 0


class Connections:
    """At most `most` connections; of one address, unless `is_exempt`, at most half of them may wait."""

    def __init__(self, most: int = _PLACES, is_exempt: Callable[[str], bool] = lambda address: False) -> None:
        self.most = most
        self.counts = ConnectionCounts()
        self._is_exempt = is_exempt
        self._all: dict[Connection, None] = {}
        self._waiting: dict[str, dict[Connection, None]] = {}  # by address; who has waited longest comes first
        self._waiting_count = 0

    def __len__(self) -> int:
        return len(self._all)

    def all(self) -> list[Connection]:
        """Those there are now."""
        return list(self._all)

    @property
    def is_busy(self) -> bool:
        """True when so many are being served that the rest is for the questions that must be answered."""
        return len(self._all) - self._waiting_count > self.most * _BUSY_SHARE

    def early_s(self, now_s: float) -> float:
        """Seconds to accept nobody, as who would have to make room has only just connected; 0 most of the time."""
        is_full = len(self._all) >= self.most
        oldest = self.oldest_waiting() if is_full or self._waiting_count >= self._share else None
        if oldest is None or not (is_full or self._is_share_used(oldest.address)):
            return 0.0
        return max(0.0, oldest.since_s + _GRACE_S - now_s)

    def admit(self, address: str, now_s: float) -> tuple[Connection | None, Connection | None]:
        """A place for a new connection, or None; and the connection that must be closed for it, if any."""
        pushed: Connection | None = None
        if self._is_share_used(address):
            pushed = next(iter(self._waiting[address]))
        elif len(self._all) >= self.most:
            if not self._waiting_count:
                self.counts.refused += 1
                return None, None
            pushed = self.oldest_waiting()
        if pushed is not None:
            self.counts.pushed_out += 1
            self.remove(pushed)
        self.counts.accepted += 1
        connection = Connection(address, now_s, self, read_s=now_s)
        self._all[connection] = None
        self.requeue(connection)
        return connection, pushed

    def oldest_waiting(self) -> Connection | None:
        """Who has waited longest, of the address with most who wait."""
        if not self._waiting_count:
            return None
        crowd = max(self._waiting, key=lambda address: len(self._waiting[address]))
        return next(iter(self._waiting[crowd]))

    def requeue(self, connection: Connection) -> None:
        """Put it behind the others of its address who wait, or out of their queue."""
        if connection in self._all:
            self._unqueue(connection)
            if connection.is_waiting:
                self._waiting.setdefault(connection.address, {})[connection] = None
                self._waiting_count += 1

    def remove(self, connection: Connection) -> None:
        """Forget it."""
        self._unqueue(connection)
        self._all.pop(connection, None)

    def overdue(self, now_s: float) -> Iterator[Connection]:
        """Connections to be closed now, counted; to be asked every second or so."""
        unread: list[tuple[int, Connection]] = []
        total = 0
        for connection in self.all():
            unread_s = now_s - connection.unread_since(now_s)
            unsent = connection.seen[0]
            if unsent and connection.phase is Phase.IDLE:
                connection.since_s = now_s  # the last answer is still being read
            if unread_s >= STALLED_S:
                self.counts.stalled += 1
                yield connection
            elif now_s - connection.since_s >= _LIMITS_S.get(connection.phase, math.inf):
                self.counts.timed_out += 1
                yield connection
            else:
                total += unsent
                if unread_s >= _PATIENCE_S:
                    unread.append((unsent, connection))
        for unsent, connection in sorted(unread, key=lambda each: -each[0]):
            if total <= _UNSENT_BYTES:
                break
            total -= unsent
            self.counts.stalled += 1
            yield connection

    @property
    def _share(self) -> int:
        return max(1, self.most // _SHARE)

    def _is_share_used(self, address: str) -> bool:
        return len(self._waiting.get(address, ())) >= self._share and not self._is_exempt(address)

    def _unqueue(self, connection: Connection) -> None:
        own = self._waiting.get(connection.address)
        if own is not None and connection in own:
            del own[connection]
            self._waiting_count -= 1
            if not own:
                del self._waiting[connection.address]
