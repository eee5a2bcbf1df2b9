"""Owner of a meter's only socket: one command at a time, the most urgent first, with the gap the meter needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from random import random
from typing import Any, TypeVar

from hub.instruments.exchange import LastError, LinkDown, LinkStatistics, Priority
from hub.links.dial import DialFailed, dial, is_open
from hub.links.inbox import Inbox, Request
from hub.links.pauses import Pauses
from hub.links.stream_socket import Connection
from hub.nl43.commands import DOD, Command
from hub.nl43.dialogue import Answer, Dialogue, ExchangeFailed
from hub.nl43.holdback import Holdback
from hub.readings.snapshot import Failure
from hub.runtime.clock import Clock

T = TypeVar("T")
Dial = Callable[[str, int, float], Awaitable[Connection]]

FTP_PORT = 21
_REFUSED_FIRST_S = 1.0
_LONGEST_SETTLE_S = 2.0


class _Request(Request[Answer[Any]]):
    def __init__(self, command: Command, parse: Callable[[str], object], wanted: Callable[[], bool] | None) -> None:
        super().__init__(wanted)
        self.command = command
        self.parse = parse


class Link:
    """Talks to one meter while `run` runs; `request` may be called by any number of tasks.

    The socket is opened by the first request and kept. Before its first command the link drops what the other side
    says by itself: it listens for `settle_s` and the time such words are on their way, longer where a first reply
    was garbled, as a banner may come late.
    After a loss or a close the socket stays closed for `reconnect_s`, because the meter frees its only slot slowly;
    after a refused connect the pause begins at 1 s. Pauses grow up to `cap_s` and beyond (`Pauses`), and only
    somebody who looks shortens them: `limit_pauses`, or a poll by an operator.
    A `DOD?` that is answered badly costs the connection. Another command costs it only where it was lost; `DOD?`
    comes next then, and shows whether the connection is still good. No command is ever sent twice.
    """

    def __init__(
        self,
        host: str,
        port: int,
        clock: Clock,
        *,
        gap_s: float = 1.0,
        connect_timeout_s: float = 5.0,
        reply_timeout_s: float = 3.0,
        reconnect_s: float = 5.0,
        cap_s: float = 60.0,
        settle_s: float = 0.1,
        ftp_port: int = FTP_PORT,
        open_socket: Dial | None = None,
    ) -> None:
        self._address = (host, port)
        self._clock = clock
        self._gap_s = gap_s
        self._connect_timeout_s = connect_timeout_s
        self._reply_timeout_s = reply_timeout_s
        self._reconnect_s = reconnect_s
        self._settle_s = settle_s
        self._ftp_port = ftp_port
        self._open_socket = open_socket or dial
        self._dialogue: Dialogue | None = None
        self._is_in_step = True
        self._holdback = Holdback(reply_timeout_s, gap_s)
        self._pauses = Pauses(cap_s)
        self._inbox: Inbox[_Request] = Inbox(clock)
        self._next_send_s = 0.0
        self._failed_s = 0.0
        self._retry_s = 0.0
        self._is_wedge_known = False
        self._error = LastError(Failure.TIMEOUT, "not connected yet", 0.0)
        self._closed_stale_bytes = 0
        self._closed_bytes_received = 0
        self._closed_bytes_sent = 0
        self._last_answer: Answer[object] | None = None
        self.connects = 0
        self.failures: Counter[Failure] = Counter()

    @property
    def is_connected(self) -> bool:
        """True while the socket is open."""
        return self._dialogue is not None

    @property
    def stale_bytes(self) -> int:
        """Bytes of the meter that were dropped because they belong to no answer."""
        return self._closed_stale_bytes + (self._dialogue.stale_bytes if self._dialogue else 0)

    @property
    def bytes_received(self) -> int:
        """All bytes of the meter."""
        return self._closed_bytes_received + (self._dialogue.bytes_received if self._dialogue else 0)

    @property
    def retry_in_s(self) -> float:
        """Seconds until a connect may be tried; 0 while connected."""
        return 0.0 if self._dialogue else max(0.0, self._retry_s - self._clock.steady())

    @property
    def queued(self) -> int:
        """Commands waiting to be sent."""
        return len(self._inbox)

    def statistics(self) -> LinkStatistics:
        """What there is to know of the link, for people."""
        answer, dialogue = self._last_answer, self._dialogue
        return LinkStatistics(
            connected_since=None if dialogue is None else dialogue.opened_s,
            connects=self.connects,
            last_answer=None if answer is None else answer.time,
            last_took_s=None if answer is None else answer.took_s,
            last_error=self._error if self.failures else None,
            failures=dict(self.failures),
            retry_in_s=self.retry_in_s,
            queued=self.queued,
            bytes_received=self.bytes_received,
            bytes_sent=self._closed_bytes_sent + (dialogue.bytes_sent if dialogue else 0),
            stale_bytes=self.stale_bytes,
        )

    def limit_pauses(self, cap_s: float) -> None:
        """Pause for `cap_s` at most from now on (`Pauses` says when for longer), the present pause included."""
        if cap_s != self._pauses.cap_s:
            self._pauses.cap_s = cap_s
            self._shorten_pause(max(cap_s, self._reconnect_s))

    def _shorten_pause(self, most_s: float) -> None:
        self._retry_s = min(self._retry_s, self._failed_s + most_s)
        self._inbox.wake()

    def rest_until(self, time: float) -> None:
        """Open no socket before `time` (steady clock, seconds): the meter may still hold its slot for another."""
        self._retry_s = max(self._retry_s, time)
        self._failed_s = self._clock.steady()

    async def request(
        self,
        command: Command,
        parse: Callable[[str], T],
        priority: Priority,
        wanted: Callable[[], bool] | None = None,
        patience_s: float = 0.0,
    ) -> Answer[T]:
        """Send `command` when its turn comes; `parse` turns the data line into a value or raises FieldError.

        Without a connection only `DOD?` opens one, as the first command of a session. While the link pauses
        after a failure for longer than `patience_s`, LinkDown is raised at once; for an operator the pause is
        never longer than `reconnect_s`. `wanted` is asked at the moment of sending: NotWanted is raised when it
        says no.
        """
        if priority is Priority.OPERATOR:
            self._shorten_pause(self._reconnect_s)
        if not self._may_send(command) or self.retry_in_s > patience_s:
            raise self._down(was_tried=False)
        request = _Request(command, parse, wanted)
        self._inbox.put(request, priority)
        return await request.wait()

    async def run(self) -> None:
        """Serve requests until cancelled; then close the socket and fail what still waits."""
        try:
            while True:
                request = await self._inbox.next(self._ready_s)
                if request.is_wanted():
                    await self._serve(request)
        finally:
            self._inbox.fail_all(_given_up)
            self._close()

    def _ready_s(self) -> float:
        return self._next_send_s if self._dialogue else max(self._next_send_s, self._retry_s)

    def _may_send(self, command: Command) -> bool:
        """`DOD?` opens a connection, and proves one after a failure; everything else needs one that is proven."""
        return command == DOD or (self._dialogue is not None and self._is_in_step)

    async def _serve(self, request: _Request) -> None:
        if not self._may_send(request.command):
            request.fail(self._down(was_tried=False))
            return
        try:
            if self._dialogue is None:
                await self._connect()
            assert self._dialogue is not None
            if request.is_wanted():  # once more, because a connect takes its time
                answer = self._last_answer = await self._dialogue.ask(request.command, request.parse)
                self._is_in_step = True
                self._pauses.answered(answer.time)
                self._next_send_s = answer.time + self._gap_s
                request.answer(answer)
        except ExchangeFailed as failed:
            self._note(failed.failure, failed.detail)
            if failed.is_lost or (request.command == DOD and not failed.is_ambiguous):
                self._drop()
            else:
                self._is_in_step = False
            request.fail(self._down())
        except DialFailed as failed:
            await self._dial_failed(failed)
            request.fail(self._down())
        finally:
            if not request.is_answered:
                self._next_send_s = self._clock.steady() + self._gap_s
            if not request.is_done:
                request.fail(_given_up())

    async def _connect(self) -> None:
        host, port = self._address
        began_s = self._clock.steady()
        connection = await self._open_socket(host, port, self._connect_timeout_s)
        round_trip_s = self._clock.steady() - began_s
        self._dialogue = Dialogue(connection, self._clock, self._holdback, self._reply_timeout_s)
        self._is_in_step = True
        self._is_wedge_known = False
        self.connects += 1
        garbled = self._pauses.failures if self._error.failure is Failure.PROTOCOL else 0
        await self._dialogue.settle(min(self._settle_s * 2.0**garbled + 2 * round_trip_s, _LONGEST_SETTLE_S))

    async def _dial_failed(self, failed: DialFailed) -> None:
        """A refusal is looked into once per outage: FTP that still answers gives a wedged control port away."""
        host, port = self._address
        if not failed.is_refused:
            self._note(Failure.TIMEOUT, str(failed), failed.is_name_unknown)
            self._pause(self._reconnect_s, was_connected=False)
            return
        if self._error.failure not in (Failure.REFUSED, Failure.WEDGED):
            self._is_wedge_known = await is_open(host, self._ftp_port)
        if self._is_wedge_known:
            text = f"port {port} is refused while FTP answers: the control port is wedged, power-cycle the meter"
            self._note(Failure.WEDGED, text)
            self._pause(self._reconnect_s, was_connected=False)
        else:
            self._note(Failure.REFUSED, f"{failed}: is TCP On in the meter?")
            self._pause(_REFUSED_FIRST_S, was_connected=False)

    def _note(self, failure: Failure, detail: str, is_name_unknown: bool = False) -> None:
        self._error = LastError(failure, detail, self._clock.steady(), is_name_unknown)
        self.failures[failure] += 1

    def _drop(self) -> None:
        self._close()
        self._pause(self._reconnect_s, was_connected=True)

    def _pause(self, first_s: float, was_connected: bool) -> None:
        self._failed_s = self._clock.steady()
        self._retry_s = self._failed_s + self._pauses.failed(first_s, was_connected, random())

    def _down(self, was_tried: bool = True) -> LinkDown:
        error = self._error
        return LinkDown(error.failure, error.detail, self.retry_in_s, was_tried, error.is_name_unknown)

    def _close(self) -> None:
        dialogue, self._dialogue = self._dialogue, None
        if dialogue is None:
            return
        dialogue.close()
        self._closed_stale_bytes += dialogue.stale_bytes
        self._closed_bytes_received += dialogue.bytes_received
        self._closed_bytes_sent += dialogue.bytes_sent
        self._failed_s = self._clock.steady()
        self._retry_s = self._failed_s + self._reconnect_s


def _given_up() -> LinkDown:
    return LinkDown(Failure.TIMEOUT, "the hub has given up the meter's socket", 0.0, was_tried=False)
