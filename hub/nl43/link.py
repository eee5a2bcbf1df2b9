"""Owner of a meter's only socket: one command at a time, the most urgent first, with the gap the meter needs."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from random import random
from typing import Generic, NamedTuple, TypeVar

import anyio
from anyio.abc import SocketStream

from hub.backoff import backoff
from hub.clock import Clock
from hub.nl43.commands import DOD, Command
from hub.nl43.dial import DialFailed, dial, is_open
from hub.nl43.fields import FieldError
from hub.nl43.protocol import NEED_DATA, Protocol, ProtocolError, Reply, Result
from hub.snapshot import Failure

T = TypeVar("T")

FTP_PORT = 21
_REFUSED_FIRST_S = 1.0
_CLOSE_S = 2.0
_RECEIVE_BYTES = 4096
_LONGEST_SLEEP_S = 1.0
_GRAIN_S = 0.001  # event loops wake up to a millisecond early


class Priority(IntEnum):
    """Who asks; the lowest goes first."""

    OPERATOR = 0
    MONITOR = 1
    BACKGROUND = 2


class Answer(NamedTuple, Generic[T]):
    """The meter's answer. `value` is None when it refused (`result` says why) or for a setting.

    `time` is when the last byte came (steady clock, seconds), `took_s` from the send until then.
    """

    result: Result
    value: T | None
    time: float
    took_s: float


class LinkDown(Exception):
    """The meter could not be asked, or did not answer as it should. `retry_in_s` is when it can be tried again.

    `was_tried` False: nothing was sent and no connect made, because the link pauses or is being stopped.
    `is_name_unknown`: the host name has no address, so the meter has nothing to do with it.
    """

    def __init__(
        self,
        failure: Failure,
        detail: str,
        retry_in_s: float,
        was_tried: bool = True,
        is_name_unknown: bool = False,
    ) -> None:
        super().__init__(f"{failure.value}: {detail}")
        self.failure = failure
        self.detail = detail
        self.retry_in_s = retry_in_s
        self.was_tried = was_tried
        self.is_name_unknown = is_name_unknown


class NotWanted(Exception):
    """The command was not sent, because at the moment of sending nobody wanted it any more."""


class _Trouble(Exception):
    def __init__(self, failure: Failure, detail: str, is_name_unknown: bool = False) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail
        self.is_name_unknown = is_name_unknown


class _Request:
    __slots__ = ("answer", "command", "done", "error", "is_abandoned", "parse", "wanted")

    def __init__(self, command: Command, parse: Callable[[str], object], wanted: Callable[[], bool] | None) -> None:
        self.command = command
        self.parse = parse
        self.wanted = wanted
        self.done = anyio.Event()
        self.answer: Answer[object] | None = None
        self.error: Exception | None = None
        self.is_abandoned = False


class Link:
    """Talks to one meter while `run` runs; `request` may be called by any number of tasks.

    The socket is opened by the first request and kept. After a loss or a close it stays closed for
    `reconnect_s`, because the meter frees its only slot slowly; after a refused connect the pause begins at
    1 s. Pauses double up to `cap_s`. No command is ever sent twice.
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
        ftp_port: int = FTP_PORT,
    ) -> None:
        self._address = (host, port)
        self._clock = clock
        self._gap_s = gap_s
        self._connect_timeout_s = connect_timeout_s
        self._reply_timeout_s = reply_timeout_s
        self._reconnect_s = reconnect_s
        self._cap_s = cap_s
        self._ftp_port = ftp_port
        self._stream: SocketStream | None = None
        self._protocol = Protocol()
        self._inbox: list[tuple[Priority, int, _Request]] = []
        self._order = count()
        self._wakeup: anyio.Event | None = None
        self._next_send_s = 0.0
        self._attempts = 0
        self._failed_s = 0.0
        self._retry_s = 0.0
        self._is_wedge_known = False
        self._trouble = _Trouble(Failure.TIMEOUT, "not connected yet")
        self.connects = 0

    @property
    def is_connected(self) -> bool:
        """True while the socket is open."""
        return self._stream is not None

    @property
    def retry_in_s(self) -> float:
        """Seconds until a connect may be tried; 0 while connected."""
        return 0.0 if self._stream else max(0.0, self._retry_s - self._clock.steady())

    @property
    def queued(self) -> int:
        """Commands waiting to be sent."""
        return len(self._inbox)

    def limit_pauses(self, cap_s: float) -> None:
        """No pause between attempts longer than `cap_s` from now on, the present one included."""
        if cap_s != self._cap_s:
            self._cap_s = cap_s
            self._retry_s = min(self._retry_s, self._failed_s + max(cap_s, self._reconnect_s))
            self._wake()

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
        after a failure for longer than `patience_s`, LinkDown is raised at once. `wanted` is asked at the
        moment of sending: NotWanted is raised when it says no.
        """
        if self._stream is None and (command != DOD or self.retry_in_s > patience_s):
            raise self._down(was_tried=False)
        request = _Request(command, parse, wanted)
        heapq.heappush(self._inbox, (priority, next(self._order), request))
        self._wake()
        try:
            await request.done.wait()
        finally:
            request.is_abandoned = True
        if request.error is not None:
            raise request.error
        assert request.answer is not None
        return request.answer  # type: ignore[return-value]

    async def run(self) -> None:
        """Serve requests until cancelled; then close the socket and fail what still waits."""
        try:
            while True:
                request = await self._next_request()
                if request.wanted is not None and not request.wanted():
                    request.error = NotWanted()
                else:
                    await self._serve(request)
                request.done.set()
        finally:
            for _, _, request in self._inbox:
                request.error = _given_up()
                request.done.set()
            self._inbox.clear()
            await self._close()

    async def _next_request(self) -> _Request:
        """The most urgent request, once the gap or the pause is over."""
        while True:
            while self._inbox and self._inbox[0][2].is_abandoned:
                heapq.heappop(self._inbox)
            if self._inbox:
                ready_s = self._next_send_s if self._stream else max(self._next_send_s, self._retry_s)
                delay = ready_s - self._clock.steady()
                if delay <= 0:
                    return heapq.heappop(self._inbox)[2]
                # in pieces, because a pause may be cut short meanwhile
                await anyio.sleep(min(delay, _LONGEST_SLEEP_S) + _GRAIN_S)
            else:
                self._wakeup = anyio.Event()
                await self._wakeup.wait()

    def _wake(self) -> None:
        if self._wakeup is not None:
            self._wakeup.set()

    async def _serve(self, request: _Request) -> None:
        if self._stream is None and request.command != DOD:
            request.error = self._down(was_tried=False)
            return
        try:
            stream = self._stream
            if stream is None:
                stream = await self._connect()  # which takes its time: look once more
                if request.wanted is not None and not request.wanted():
                    request.error = NotWanted()
                    return
            request.answer = await self._exchange(stream, request)
            self._attempts = 0
        except _Trouble as trouble:
            await self._drop(trouble)
            request.error = self._down()
        finally:
            self._next_send_s = self._clock.steady() + self._gap_s
            if request.answer is None and request.error is None:
                request.error = _given_up()
                request.done.set()

    async def _exchange(self, stream: SocketStream, request: _Request) -> Answer[object]:
        started = self._clock.steady()
        received = False
        try:
            with anyio.fail_after(self._reply_timeout_s):
                await stream.send(self._protocol.send(request.command))
                while (event := self._protocol.next_event()) is NEED_DATA:
                    self._protocol.receive_data(await stream.receive(_RECEIVE_BYTES))
                    received = True
        except TimeoutError:
            if received:
                raise _Trouble(Failure.PROTOCOL, f"reply to {request.command.line} broke off") from None
            raise _Trouble(
                Failure.MUTE, f"no reply to {request.command.line} in {self._reply_timeout_s:g} s"
            ) from None
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            failure = Failure.PROTOCOL if received else Failure.MUTE
            raise _Trouble(failure, f"the meter closed the connection at {request.command.line}") from None
        except ProtocolError as error:
            raise _Trouble(Failure.PROTOCOL, str(error)) from None
        if not isinstance(event, Reply):
            raise _Trouble(Failure.PROTOCOL, f"a stream line came as reply to {request.command.line}")
        now = self._clock.steady()
        try:
            value = None if event.line is None else request.parse(event.line)
        except FieldError as error:
            raise _Trouble(Failure.PROTOCOL, str(error)) from None
        return Answer(event.result, value, now, now - started)

    async def _connect(self) -> SocketStream:
        host, port = self._address
        try:
            stream = await dial(host, port, self._connect_timeout_s)
        except DialFailed as failed:
            raise await self._diagnosed(failed) from None
        self._stream = stream
        self._protocol = Protocol()
        self._is_wedge_known = False
        self.connects += 1
        return stream

    async def _diagnosed(self, failed: DialFailed) -> _Trouble:
        """A refusal is looked into once per outage: FTP that still answers gives a wedged control port away."""
        host, port = self._address
        if not failed.is_refused:
            return _Trouble(Failure.TIMEOUT, str(failed), failed.is_name_unknown)
        if self._trouble.failure not in (Failure.REFUSED, Failure.WEDGED):
            self._is_wedge_known = await is_open(host, self._ftp_port)
        if self._is_wedge_known:
            text = f"port {port} is refused while FTP answers: the control port is wedged, power-cycle the meter"
            return _Trouble(Failure.WEDGED, text)
        return _Trouble(Failure.REFUSED, str(failed))

    async def _drop(self, trouble: _Trouble) -> None:
        was_open = self._stream is not None
        await self._close()
        self._trouble = trouble
        self._attempts += 1
        first_s = _REFUSED_FIRST_S if not was_open and trouble.failure is Failure.REFUSED else self._reconnect_s
        self._failed_s = self._clock.steady()
        self._retry_s = self._failed_s + backoff(self._attempts, first_s, max(first_s, self._cap_s), random())

    def _down(self, was_tried: bool = True) -> LinkDown:
        trouble = self._trouble
        return LinkDown(trouble.failure, trouble.detail, self.retry_in_s, was_tried, trouble.is_name_unknown)

    async def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        self._retry_s = self._clock.steady() + self._reconnect_s
        self._failed_s = self._clock.steady()
        with anyio.move_on_after(_CLOSE_S, shield=True):
            await stream.aclose()


def _given_up() -> LinkDown:
    return LinkDown(Failure.TIMEOUT, "the hub has given up the meter's socket", 0.0, was_tried=False)
