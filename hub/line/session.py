"""One connection to an instrument: reads all the time, knows the newest line, and asks."""

from typing import NamedTuple

import anyio

from hub.line.fields import Form, Values
from hub.line.lines import LineReader
from hub.links.stream_socket import Connection
from hub.readings.snapshot import Failure
from hub.runtime.clock import Clock

_RECEIVE_BYTES = 4096
_MOST_READS = 16
_QUIET_S = 0.3
_LONGEST_NOISE_S = 3.0
_FLOOD_PAUSE_S = 0.05  # after so many bytes at once: no more than 80 kB/s are read
_LONGEST_FLOOD = 100  # in a row, which is five seconds
_SHOWN = 80


class Line(NamedTuple):
    """A line that the form matches, without its end. `time` is when it was complete, steady clock, seconds."""

    values: Values
    raw: str
    time: float
    number: int  # counts the lines of a connection


class ExchangeFailed(Exception):
    """No line came that the form matches. `is_lost`: the connection cannot be used any more."""

    def __init__(self, failure: Failure, detail: str, is_lost: bool) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail
        self.is_lost = is_lost


class Session:
    """Reads while `run` runs; `ask` and `newest` are called by one task at a time.

    - A command is sent once nothing has come for 0.3 s and what came before has been dropped, so that what
      arrived before it was sent is never its answer. An echo, or another line beside the answer, does no harm.
    - Of an instrument that sends by itself the line under way at the connect is dropped, because its beginning is
      missing: `23.5` must not become `3.5`. Each line is given once.
    - Lines of a read that is full are passed over: more wait behind them, so they are not the newest, and after a
      standstill of the hub they are old.
    - More than 80 kB/s are not read, and five seconds of that cost the connection.
    """

    def __init__(self, connection: Connection, clock: Clock, form: Form, end: bytes, ask: bytes | None) -> None:
        self._connection = connection
        self._clock = clock
        self._form = form
        self._ask = ask
        self._reader = LineReader(end, from_middle=ask is None)
        self._scope = anyio.CancelScope()
        self._news = anyio.Event()
        self._newest: Line | None = None
        self._given = 0
        self._last_byte_s = float("-inf")
        self._last_unmatched: str | None = None
        self._unmatched = 0
        self._must_be_quiet = False
        self.lost: ExchangeFailed | None = None
        self.opened_s = clock.steady()
        self.bytes_received = 0
        self.bytes_sent = 0
        self._unmatched_bytes = 0

    @property
    def stale_bytes(self) -> int:
        """Bytes of lines that the form does not match, or that were dropped."""
        return self._unmatched_bytes + self._reader.dropped_bytes

    async def run(self) -> None:
        """Read until the connection is lost, which `lost` then says, or until `end` is called; close it."""
        try:
            with self._scope:
                await self._read()
        finally:
            self._connection.close()
            self._wake()

    def end(self) -> None:
        """Have `run` close the connection."""
        self._scope.cancel()

    async def ask(self, within_s: float) -> Line:
        """Send the command and wait for the line that answers it. Raises ExchangeFailed."""
        assert self._ask is not None
        await self._settle()
        before = self._counts()
        try:
            with anyio.fail_after(within_s):
                await self._connection.send(self._ask)
                self.bytes_sent += len(self._ask)
                line = await self._line_after(self._number)
        except TimeoutError:
            self._must_be_quiet = True
            raise self._nothing_usable(f"no reply to {self._ask!r} in {within_s:g} s", before) from None
        except OSError:
            raise self._closed() from None
        self._must_be_quiet = line is not self._newest or self._reader.is_within_line
        return line

    async def newest(self, within_s: float, fresh_s: float) -> Line:
        """The newest line, if it is younger than `fresh_s` and was not given yet; else the next that comes."""
        newest, before = self._newest, self._counts()
        is_fresh = newest is not None and self._clock.steady() - newest.time < fresh_s
        if newest is None or newest.number == self._given or not is_fresh:
            try:
                with anyio.fail_after(within_s):
                    newest = await self._line_after(self._number)
            except TimeoutError:
                raise self._nothing_usable(f"nothing came in {within_s:g} s", before) from None
        self._given = newest.number
        return newest

    @property
    def _number(self) -> int:
        return 0 if self._newest is None else self._newest.number

    async def _line_after(self, number: int) -> Line:
        while True:
            if self._newest is not None and self._newest.number > number:
                return self._newest
            if self.lost is not None:
                raise self.lost
            await self._news.wait()

    async def _settle(self) -> None:
        """Drop what came unasked, and wait until nothing comes any more."""
        latest_s = self._clock.steady() + _LONGEST_NOISE_S
        while True:
            self._take_what_is_there()
            if self.lost is not None:
                raise self.lost
            if not self._must_be_quiet:
                return
            quiet_in_s = self._last_byte_s + _QUIET_S - self._clock.steady()
            if quiet_in_s <= 0:
                self._reader.discard()
                return
            if self._clock.steady() > latest_s:
                text = "lines keep coming that nobody asked for: leave `ask` out if the instrument sends by itself"
                raise ExchangeFailed(Failure.PROTOCOL, text, is_lost=True)
            await anyio.sleep(quiet_in_s)

    async def _read(self) -> None:
        full = 0
        while self.lost is None:
            try:
                data = await self._connection.receive(_RECEIVE_BYTES)
                if full and self._ask is None and 0 < len(data) < _RECEIVE_BYTES:
                    # TCP hands a backlog over in pieces: only a pause after one shows whether it was the last.
                    await anyio.sleep(_FLOOD_PAUSE_S)
                    data += self._connection.receive_nowait(_RECEIVE_BYTES) or b""
            except OSError:
                data = b""
            self._received(data)
            full = full + 1 if len(data) >= _RECEIVE_BYTES else 0
            if full == _LONGEST_FLOOD:
                text = "more than 80 kB/s come: is this an instrument that sends lines?"
                self._lose(ExchangeFailed(Failure.PROTOCOL, text, is_lost=True))
            elif full:
                await anyio.sleep(_FLOOD_PAUSE_S)

    def _take_what_is_there(self) -> None:
        for _ in range(_MOST_READS):
            try:
                data = self._connection.receive_nowait(_RECEIVE_BYTES)
            except OSError:
                data = b""
            if data is None:
                return
            self._received(data)
            if not data:
                return

    def _received(self, data: bytes) -> None:
        if not data:
            self._lose(self._closed())
            return
        now = self._clock.steady()
        self._last_byte_s = now
        self._must_be_quiet = True
        self.bytes_received += len(data)
        overlong = self._reader.overlong
        is_backlog = len(data) >= _RECEIVE_BYTES
        for text in self._reader.receive_data(data):
            values = None if is_backlog else self._form(text)
            if values is None:
                self._unmatched += 1
                self._last_unmatched = text
                self._unmatched_bytes += len(text)
            else:
                self._newest = Line(values, text, now, self._number + 1)
        if self._reader.overlong > overlong:
            self._unmatched += self._reader.overlong - overlong
            self._last_unmatched = None
        self._wake()

    def _lose(self, lost: ExchangeFailed) -> None:
        self.lost = self.lost or lost
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _counts(self) -> tuple[int, int, int]:
        return self.bytes_received, self._unmatched, self._reader.blank

    def _closed(self) -> ExchangeFailed:
        return ExchangeFailed(Failure.MUTE, "the instrument closed the connection", is_lost=True)

    def _nothing_usable(self, nothing: str, before: tuple[int, int, int]) -> ExchangeFailed:
        """Why no line counts, by the bytes received meanwhile. Silence ends the connection: it may be half open."""
        received, unmatched, blank = before
        if self.bytes_received == received:
            return ExchangeFailed(Failure.MUTE, nothing, is_lost=True)
        if self._unmatched == unmatched and self._reader.blank > blank:
            text = "only blank lines came"
        elif self._unmatched == unmatched:
            text = "bytes came, but no end of a line: is `end` what ends the instrument's lines?"
        elif self._last_unmatched is None:
            text = "the line that came is too long"
        else:
            text = f"no line that came has the expected form, such as {self._last_unmatched[:_SHOWN]!a}"
        return ExchangeFailed(Failure.PROTOCOL, text, is_lost=False)
