"""One connection to a meter: a command goes out, the one reply that answers it comes in, whatever else arrives."""

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

import anyio

from hub.links.stream_socket import Connection
from hub.nl43.answers import check_form
from hub.nl43.commands import Command
from hub.nl43.fields import FieldError
from hub.nl43.holdback import Holdback
from hub.nl43.protocol import NEED_DATA, Protocol, ProtocolError, Reply, Result
from hub.readings.snapshot import Failure
from hub.runtime.clock import Clock

T = TypeVar("T")

_RECEIVE_BYTES = 4096
_MOST_READS = 16  # a meter that sends faster than this is read is not waited for
_QUIET_S = 0.3
_LONGEST_NOISE_S = 3.0
_UNASKED, _MOST_UNASKED = 2, 10  # what came unasked counts double what went well: ten times in twenty is too often


class Answer(NamedTuple, Generic[T]):
    """The meter's answer. `value` is None when it refused (`result` says why) or for a setting.

    `time` is when the last byte came (steady clock, seconds), `took_s` from the send until then, `held_s` how long
    the answer was held back after that: nothing else could be sent meanwhile.
    """

    result: Result
    value: T | None
    time: float
    took_s: float
    held_s: float = 0.0


class ExchangeFailed(Exception):
    """A command was not answered as it should be.

    `is_lost`: the connection cannot be used any more. `is_ambiguous`: replies came, and which of them answers the
    command cannot be known.
    """

    def __init__(self, failure: Failure, detail: str, *, is_lost: bool = False, is_ambiguous: bool = False) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail
        self.is_lost = is_lost
        self.is_ambiguous = is_ambiguous


class Dialogue:
    """Sends a command once what arrived before it has been taken out of the socket, and doubts what comes back.

    - What arrived before the command was sent is dropped and counted. Where anything was, the meter must have been
      quiet for 0.3 s before the command goes out.
    - A reply counts when it has been the only one for as long as `holdback` says; whole copies of it do no harm.
    - After a failed exchange the connection may be used again, unless it `is_lost`; a reply that still comes is
      dropped like anything else. A meter that does not get quiet, or speaks unasked again and again, is lost.
    """

    def __init__(self, connection: Connection, clock: Clock, holdback: Holdback, reply_timeout_s: float) -> None:
        self._connection = connection
        self._clock = clock
        self._holdback = holdback
        self._reply_timeout_s = reply_timeout_s
        self._protocol = Protocol()
        self._stale_bytes = 0
        self._unasked = 0
        self._must_listen = False
        self._last_reply: Reply | None = None
        self.opened_s = clock.steady()
        self.bytes_received = 0
        self.bytes_sent = 0

    @property
    def stale_bytes(self) -> int:
        """Bytes that were dropped because they belong to no answer."""
        return self._stale_bytes + self._protocol.stale_bytes

    async def settle(self, quiet_s: float) -> None:
        """Drop what the other side says by itself within `quiet_s` seconds, before the first command."""
        await anyio.sleep(quiet_s)
        if self._drain():
            await self._wait_for_quiet()

    async def ask(self, command: Command, parse: Callable[[str], T]) -> Answer[T]:
        """One exchange. Raises ExchangeFailed."""
        if self._drain():
            self._must_listen = True
        if self._must_listen:
            await self._wait_for_quiet()
            self._must_listen = False
        try:
            return await self._exchange(command, parse)
        except ExchangeFailed as failed:
            self._start_afresh()
            if failed.failure is Failure.PROTOCOL and not failed.is_lost:
                self._spoke_unasked()
            raise

    def close(self) -> None:
        """Close the connection; what is read no more is counted."""
        with suppress(_Closed):
            self._fetch()
        self._protocol.reject()
        self._connection.close()

    async def _exchange(self, command: Command, parse: Callable[[str], T]) -> Answer[T]:
        sent_s = self._clock.steady()
        reply = await self._reply(command)
        time = self._clock.steady()
        try:
            value = None if reply.line is None else _value(command, reply.line, parse)
        except FieldError as error:
            raise ExchangeFailed(Failure.PROTOCOL, str(error)) from None
        took_s = time - sent_s
        held_s = max(0.0, self._holdback.hold_s(time) - took_s)
        if held_s > 0:
            await anyio.sleep(held_s)
        self._check_surplus(command, reply)
        self._protocol.accept()
        self._last_reply = reply
        self._unasked = max(0, self._unasked - 1)
        self._holdback.accepted(took_s)
        return Answer(reply.result, value, time, took_s, held_s)

    async def _reply(self, command: Command) -> Reply:
        protocol, connection, before = self._protocol, self._connection, self.bytes_received
        try:
            with anyio.fail_after(self._reply_timeout_s):
                data = protocol.send(command)
                await connection.send(data)
                self.bytes_sent += len(data)
                while (event := protocol.next_event()) is NEED_DATA:
                    data = await connection.receive(_RECEIVE_BYTES)
                    if not data:
                        raise ConnectionResetError
                    self._received(data)
        except TimeoutError:
            if self.bytes_received > before:
                raise ExchangeFailed(Failure.PROTOCOL, f"reply to {command.line} broke off") from None
            text = f"no reply to {command.line} in {self._reply_timeout_s:g} s"
            raise ExchangeFailed(Failure.MUTE, text) from None
        except OSError:
            raise _Closed(f"at {command.line}", is_answered=self.bytes_received > before) from None
        except ProtocolError as error:
            raise ExchangeFailed(Failure.PROTOCOL, str(error)) from None
        if not isinstance(event, Reply):
            raise ExchangeFailed(Failure.PROTOCOL, f"a stream line came as reply to {command.line}")
        return event

    def _check_surplus(self, command: Command, reply: Reply) -> None:
        with suppress(_Closed):  # it answered and closed: found before the next command
            self._fetch()
        if not self._protocol.has_leftovers:
            return
        is_copy = self._protocol.repeats(reply)
        if self._discard() and not is_copy:
            text = f"more than one reply came to {command.line}: none of them is used"
            raise ExchangeFailed(Failure.PROTOCOL, text, is_ambiguous=True)

    async def _wait_for_quiet(self) -> None:
        latest_s = self._clock.steady() + _LONGEST_NOISE_S
        while True:
            await anyio.sleep(_QUIET_S)
            self._fetch()
            if not self._discard():
                return
            if self._clock.steady() >= latest_s:
                raise _talkative()

    def _drain(self) -> bool:
        """Take out and drop what arrived unasked; True if it was more than noise."""
        self._fetch()
        if not self._protocol.has_leftovers:
            return False
        is_copy = self._last_reply is not None and self._protocol.repeats(self._last_reply)
        if not self._discard():
            return False
        if not is_copy:
            self._spoke_unasked()
        return True

    def _discard(self) -> bool:
        if not self._protocol.discard():
            return False
        self._holdback.came_unasked(self._clock.steady())
        return True

    def _spoke_unasked(self) -> None:
        self._unasked += _UNASKED
        if self._unasked > _MOST_UNASKED:
            raise _talkative()

    def _fetch(self) -> None:
        """Take over what has arrived."""
        for _ in range(_MOST_READS):
            try:
                data = self._connection.receive_nowait(_RECEIVE_BYTES)
            except OSError:
                data = b""
            if data is None:
                break
            if not data:
                raise _Closed("between commands", is_answered=False)
            self._received(data)

    def _received(self, data: bytes) -> None:
        self.bytes_received += len(data)
        self._protocol.receive_data(data)

    def _start_afresh(self) -> None:
        self._protocol.reject()
        self._stale_bytes += self._protocol.stale_bytes
        self._protocol = Protocol()
        self._must_listen = True


def _value(command: Command, line: str, parse: Callable[[str], T]) -> T:
    check_form(command, line)
    return parse(line)


class _Closed(ExchangeFailed):
    def __init__(self, when: str, is_answered: bool) -> None:
        failure = Failure.PROTOCOL if is_answered else Failure.MUTE
        super().__init__(failure, f"the meter closed the connection {when}", is_lost=True)


def _talkative() -> ExchangeFailed:
    text = "the meter keeps sending lines nobody asked for: is another client on the same line?"
    return ExchangeFailed(Failure.PROTOCOL, text, is_lost=True)
