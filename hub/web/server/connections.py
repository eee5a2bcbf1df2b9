"""The table of connections: limits their number, evicts those that wait longest, and times out the stalled ones.

Pure bookkeeping without a clock or a socket. A connection *waits* while the hub waits for its client: for a
request, for the rest of one, or for it to read what was sent. Invariants:

- There are at most `limit` connections; of one address at most half of them wait, unless it is a trusted proxy.
- A new connection without a free slot evicts the connection that has waited longest, of the address with the most
  waiting connections. A connection that the hub is serving is never evicted.
- A connection is not evicted in the first `_GRACE_S` seconds of its phase; until then nothing is accepted. So a
  client that opens connections and sends nothing evicts only its own, and a complete request is always answered,
  even in the middle of a burst of connections from its own address.
- `_waiting_count` is the number of connections in `_waiting`, which holds exactly those with `is_waiting`.

The phases, of which HEAD, BODY, DISCARDING and IDLE wait:

    HEAD ──head──> BODY ──body──> ANSWERING ──> IDLE ──first byte──> HEAD
    HEAD ──head without a body──> ANSWERING     BODY ──answered before its end──> DISCARDING ──> IDLE
    HEAD ──upgrade──> SOCKET ──close frame sent──> DISCARDING
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

STALLED_S = 30.0
"""Seconds for which a client may leave unread what was sent to it."""

_DEFAULT_LIMIT = 1024
_UNSENT_BYTES = 64 << 20  # of all connections together
_UNREAD_S = 1.0  # after which a connection may be closed to keep `_UNSENT_BYTES`
_GRACE_S = 0.05  # a client needs this between its connection and its request; more would delay bursts too long
_WAITING_SHARE = 2  # one address may have 1/2 of the connections waiting
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
"""Seconds that a phase may last in all, however many bytes arrive in it."""


class Transport(Protocol):
    """Closes a connection, and knows how many bytes are not sent yet."""

    def abort(self) -> None: ...
    def close(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...


@dataclass(slots=True, eq=False)
class Connection:
    """One connection. All times are seconds of the event loop's clock."""

    address: str  # of the client
    since_s: float  # when the phase began
    table: "Connections" = field(repr=False)
    phase: Phase = Phase.HEAD
    is_stalled: bool = False  # the write buffer is full
    progress: int = 0  # how often the write buffer became full or was emptied
    transport: Transport | None = None
    is_closed: bool = False
    read_s: float = 0.0  # when the client was last seen to read
    seen: tuple[int, int] = (0, 0)  # unsent bytes and progress at that time

    @property
    def is_waiting(self) -> bool:
        """True while the hub waits for the client."""
        return self.is_stalled or self.phase in _LIMITS_S

    def enter(self, phase: Phase, now_s: float) -> None:
        """Begin a phase, which may be the current one again."""
        self.phase, self.since_s = phase, now_s
        self.table.requeue(self)

    def stall(self, is_stalled: bool) -> None:
        """Record that the write buffer has become full, or has been emptied."""
        self.is_stalled = is_stalled
        self.progress += 1
        self.table.requeue(self)

    def unsent(self) -> int:
        """Bytes in the write buffer that the kernel has not accepted yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def unread_since(self, now_s: float) -> float:
        """Since when the client has read nothing; `now_s` when nothing is unsent. Call it every few seconds."""
        seen = self.unsent(), self.progress
        if seen[0] == 0 or seen != self.seen:
            self.seen, self.read_s = seen, now_s
        return self.read_s

    def close(self) -> None:
        """Close the connection and free its slot; bytes that are still unsent are dropped."""
        self.is_closed = True
        self.release()
        if self.transport is not None:
            if self.transport.get_write_buffer_size():
                self.transport.abort()
            else:
                self.transport.close()

    def release(self) -> None:
        """Free the slot."""
        self.table.remove(self)


@dataclass(slots=True)
class ConnectionCounts:
    """How many connections were accepted, and how they ended, since the start."""

    accepted: int = 0
    refused: int = 0
    evicted: int = 0
    timed_out: int = 0
    stalled: int = 0


class Connections:
    """At most `limit` connections; of an address that is not `is_exempt` at most half of them may wait."""

    def __init__(
        self, limit: int = _DEFAULT_LIMIT, is_exempt: Callable[[str], bool] = lambda address: False
    ) -> None:
        self.limit = limit
        self.counts = ConnectionCounts()
        self._is_exempt = is_exempt
        self._all: dict[Connection, None] = {}
        self._waiting: dict[str, dict[Connection, None]] = {}  # by address; the one that has waited longest first
        self._waiting_count = 0

    def __len__(self) -> int:
        return len(self._all)

    def all(self) -> list[Connection]:
        """The connections that are open now."""
        return list(self._all)

    @property
    def is_busy(self) -> bool:
        """True when so many are being served that only health checks may use the remaining slots."""
        return len(self._all) - self._waiting_count > self.limit * _BUSY_SHARE

    def accept_delay_s(self, now_s: float) -> float:
        """Seconds to accept nothing, because the connection to evict is still in its grace period; mostly 0."""
        is_full = len(self._all) >= self.limit
        oldest = self.longest_waiting() if is_full or self._waiting_count >= self._share else None
        if oldest is None or not (is_full or self._is_share_used(oldest.address)):
            return 0.0
        return max(0.0, oldest.since_s + _GRACE_S - now_s)

    def admit(self, address: str, now_s: float) -> tuple[Connection | None, Connection | None]:
        """A new connection, or None when there is no slot; and the connection that was evicted for it, if any.

        The caller must close the evicted connection.
        """
        evicted: Connection | None = None
        if self._is_share_used(address):
            evicted = next(iter(self._waiting[address]))
        elif len(self._all) >= self.limit:
            if not self._waiting_count:
                self.counts.refused += 1
                return None, None
            evicted = self.longest_waiting()
        if evicted is not None:
            self.counts.evicted += 1
            self.remove(evicted)
        self.counts.accepted += 1
        connection = Connection(address, now_s, self, read_s=now_s)
        self._all[connection] = None
        self.requeue(connection)
        return connection, evicted

    def longest_waiting(self) -> Connection | None:
        """The connection that has waited longest, of the address with the most waiting connections."""
        if not self._waiting_count:
            return None
        address = max(self._waiting, key=lambda address: len(self._waiting[address]))
        return next(iter(self._waiting[address]))

    def requeue(self, connection: Connection) -> None:
        """Move it to the end of the queue of its address, or out of the queue when it does not wait."""
        if connection in self._all:
            self._unqueue(connection)
            if connection.is_waiting:
                self._waiting.setdefault(connection.address, {})[connection] = None
                self._waiting_count += 1

    def remove(self, connection: Connection) -> None:
        """Remove a connection from the table, if it is there."""
        self._unqueue(connection)
        self._all.pop(connection, None)

    def overdue(self, now_s: float) -> Iterator[Connection]:
        """Yield the connections that must be closed now, and count them. Call it about every second."""
        unread: list[tuple[int, Connection]] = []
        total = 0
        for connection in self.all():
            unread_s = now_s - connection.unread_since(now_s)
            unsent = connection.seen[0]
            if unsent and connection.phase is Phase.IDLE:
                connection.since_s = now_s  # the client still reads the last response
            if unread_s >= STALLED_S:
                self.counts.stalled += 1
                yield connection
            elif now_s - connection.since_s >= _LIMITS_S.get(connection.phase, math.inf):
                self.counts.timed_out += 1
                yield connection
            else:
                total += unsent
                if unread_s >= _UNREAD_S:
                    unread.append((unsent, connection))
        for unsent, connection in sorted(unread, key=lambda each: -each[0]):
            if total <= _UNSENT_BYTES:
                break
            total -= unsent
            self.counts.stalled += 1
            yield connection

    @property
    def _share(self) -> int:
        return max(1, self.limit // _WAITING_SHARE)

    def _is_share_used(self, address: str) -> bool:
        return len(self._waiting.get(address, ())) >= self._share and not self._is_exempt(address)

    def _unqueue(self, connection: Connection) -> None:
        own = self._waiting.get(connection.address)
        if own is not None and connection in own:
            del own[connection]
            self._waiting_count -= 1
            if not own:
                del self._waiting[connection.address]
