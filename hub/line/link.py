"""Owner of the only connection to an instrument of lines: connects, asks or listens, and pauses after failures."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import random

import anyio
from anyio.abc import TaskGroup

from hub.instruments.exchange import LastError, LinkDown, LinkStatistics, Priority
from hub.line.fields import Form
from hub.line.session import ExchangeFailed, Line, Session
from hub.links.dial import DialFailed, dial
from hub.links.inbox import Inbox, Request
from hub.links.pauses import Pauses
from hub.links.stream_socket import Connection
from hub.readings.snapshot import Failure
from hub.runtime.clock import Clock

Dial = Callable[[str, int, float], Awaitable[Connection]]

_REFUSED_FIRST_S = 1.0
_PAUSE_CAP_S = 60.0


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """The settings of a link; durations in seconds.

    `ask` is sent for each line; None: the instrument sends by itself. A poll waits `line_within_s` for a line.
    `gap_s` is from the end of a reply to the next command; a line that came by itself counts for as long.
    """

    host: str
    port: int
    ask: bytes | None
    end: bytes
    form: Form
    gap_s: float = 1.0
    connect_timeout_s: float = 5.0
    line_within_s: float = 3.0
    reconnect_s: float = 5.0


class LineLink:
    """Talks to one instrument while `run` runs; `poll` may be called by any number of tasks.

    The first poll opens the socket, and it is kept. The link closes a connection that was lost or brought nothing
    in time, and the next is opened `reconnect_s` later at the earliest (1 s after a refused connect). Pauses
    grow as `Pauses` says; `limit_pauses` and a poll by an operator shorten them. No command is ever sent twice.
    """

    def __init__(self, options: LinkOptions, clock: Clock, open_socket: Dial = dial) -> None:
        self._options = options
        self._clock = clock
        self._open_socket = open_socket
        self._inbox: Inbox[Request[tuple[Line, float]]] = Inbox(clock)
        self._pauses = Pauses(_PAUSE_CAP_S)
        self._session: Session | None = None
        self._is_waiting = False  # for a line
        self._next_send_s = 0.0
        self._failed_s = 0.0
        self._retry_s = 0.0
        self._error = LastError(Failure.TIMEOUT, "not connected yet", 0.0)
        self._last_answer: tuple[float, float] | None = None  # when, and what it took
        self._closed_bytes = Counter[str]()
        self.connects = 0
        self.failures: Counter[Failure] = Counter()

    @property
    def is_connected(self) -> bool:
        """True while the socket is open."""
        return self._session is not None

    @property
    def retry_in_s(self) -> float:
        """Seconds until a connect may be tried; 0 while connected."""
        return 0.0 if self._session else max(0.0, self._retry_s - self._clock.steady())

    def statistics(self) -> LinkStatistics:
        """What there is to know of the link, for people."""
        session, answer = self._session, self._last_answer
        bytes_of = self._closed_bytes + _bytes_of(session) if session else self._closed_bytes
        return LinkStatistics(
            connected_since=None if session is None else session.opened_s,
            connects=self.connects,
            last_answer=None if answer is None else answer[0],
            last_took_s=None if answer is None else answer[1],
            last_error=self._error if self.failures else None,
            failures=dict(self.failures),
            retry_in_s=self.retry_in_s,
            queued=len(self._inbox),
            bytes_received=bytes_of["received"],
            bytes_sent=bytes_of["sent"],
            stale_bytes=bytes_of["stale"],
        )

    def limit_pauses(self, cap_s: float) -> None:
        """Pause for `cap_s` at most from now on (`Pauses` says when for longer), the present pause included."""
        if cap_s != self._pauses.cap_s:
            self._pauses.cap_s = cap_s
            self._shorten_pause(max(cap_s, self._options.reconnect_s))

    def rest_until(self, time: float) -> None:
        """Open no socket before `time` (steady clock, seconds)."""
        self._retry_s = max(self._retry_s, time)
        self._failed_s = self._clock.steady()

    async def poll(
        self, priority: Priority, wanted: Callable[[], bool] | None = None, patience_s: float = 0.0
    ) -> tuple[Line, float]:
        """The next line, and how many seconds it took. Raises LinkDown or NotWanted.

        While the link pauses for longer than `patience_s` LinkDown is raised at once; for an operator the pause is
        never longer than `reconnect_s`.
        """
        if priority is Priority.OPERATOR:
            self._shorten_pause(self._options.reconnect_s)
        if self.retry_in_s > patience_s:
            raise self._down(was_tried=False)
        request = Request[tuple[Line, float]](wanted)
        self._inbox.put(request, priority)
        return await request.wait()

    async def run(self) -> None:
        """Serve polls until cancelled; then close the socket and fail what still waits."""
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    request = await self._inbox.next(self._ready_s)
                    if request.is_wanted():
                        await self._serve(request, tasks)
        finally:
            self._inbox.fail_all(_given_up)
            self._drop()

    def _ready_s(self) -> float:
        return self._next_send_s if self._session else max(self._next_send_s, self._retry_s)

    async def _serve(self, request: Request[tuple[Line, float]], tasks: TaskGroup) -> None:
        try:
            session = self._session or await self._connected(tasks)
            if request.is_wanted():  # once more, because a connect takes its time
                request.answer(await self._line(session))
                self._check(session)
        except ExchangeFailed as failed:
            self._note(failed.failure, failed.detail)
            if failed.is_lost:
                self._give_up()
            request.fail(self._down())
        except DialFailed as failed:
            self._note(
                Failure.REFUSED if failed.is_refused else Failure.TIMEOUT, str(failed), failed.is_name_unknown
            )
            first_s = _REFUSED_FIRST_S if failed.is_refused else self._options.reconnect_s
            self._pause(first_s, was_connected=False)
            request.fail(self._down())
        finally:
            if not request.is_done:
                request.fail(_given_up())

    async def _line(self, session: Session) -> tuple[Line, float]:
        options, began_s = self._options, self._clock.steady()
        self._is_waiting = True
        try:
            if options.ask is None:
                line = await session.newest(options.line_within_s, options.gap_s)
            else:
                line = await session.ask(options.line_within_s)
        finally:
            self._is_waiting = False
            if options.ask is not None:
                self._next_send_s = self._clock.steady() + options.gap_s
        self._pauses.answered(line.time)
        took_s = max(0.0, line.time - began_s)
        self._last_answer = line.time, took_s
        return line, took_s

    async def _connected(self, tasks: TaskGroup) -> Session:
        options = self._options
        connection = await self._open_socket(options.host, options.port, options.connect_timeout_s)
        session = self._session = Session(connection, self._clock, options.form, options.end, options.ask)
        self.connects += 1
        tasks.start_soon(self._read, session)
        return session

    async def _read(self, session: Session) -> None:
        await session.run()
        self._check(session)

    def _check(self, session: Session) -> None:
        """Give a connection up that was lost, unless a poll is under way, which then fails or checks again."""
        if session is self._session and session.lost is not None and not self._is_waiting:
            self._note(session.lost.failure, session.lost.detail)
            self._give_up()

    def _give_up(self) -> None:
        self._drop()
        self._pause(self._options.reconnect_s, was_connected=True)

    def _note(self, failure: Failure, detail: str, is_name_unknown: bool = False) -> None:
        self._error = LastError(failure, detail, self._clock.steady(), is_name_unknown)
        self.failures[failure] += 1

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.end()
            self._closed_bytes += _bytes_of(session)

    def _pause(self, first_s: float, was_connected: bool) -> None:
        self._failed_s = self._clock.steady()
        self._retry_s = self._failed_s + self._pauses.failed(first_s, was_connected, random())

    def _shorten_pause(self, most_s: float) -> None:
        self._retry_s = min(self._retry_s, self._failed_s + most_s)
        self._inbox.wake()

    def _down(self, was_tried: bool = True) -> LinkDown:
        error = self._error
        return LinkDown(error.failure, error.detail, self.retry_in_s, was_tried, error.is_name_unknown)


def _bytes_of(session: Session) -> Counter[str]:
    return Counter(received=session.bytes_received, sent=session.bytes_sent, stale=session.stale_bytes)


def _given_up() -> LinkDown:
    return LinkDown(Failure.TIMEOUT, "the hub has closed the connection", 0.0, was_tried=False)
