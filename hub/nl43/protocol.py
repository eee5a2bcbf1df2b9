"""The meter's line protocol without I/O: commands become bytes, bytes become replies."""

import re
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from hub.nl43.commands import Command, Kind

MAX_LINE = 8192
"""Bytes. The longest line known has 353."""

_SUB = b"\x1a"
_SHOWN = 60
_CONTROLS = bytes(range(0x20)) + b"\x7f"
_NOISE = _CONTROLS + b"$"
_TELNET = rb"\xff(?>[\xfb-\xfe].|\xfa.*?\xff\xf0|[\xf1-\xf9])"
_LEADING_NOISE = re.compile(rb"(?>[\x00-\x1f\x7f$]|" + _TELNET + rb")++", re.DOTALL)
_ONLY_NOISE = re.compile(rb"(?>[\x00-\x20\x7f$]|" + _TELNET + rb")*+", re.DOTALL)


class ProtocolError(Exception):
    """The meter sent what the protocol does not allow: nothing it says afterwards can be trusted. Safe to show."""


class ProtocolMisuse(Exception):
    """This side broke the order: a fault in the program, not in the meter."""


class State(Enum):
    """What the connection waits for."""

    IDLE = "idle"
    AWAIT_RESULT = "await result"
    AWAIT_LINE = "await line"
    STREAMING = "streaming"
    STOPPING = "stopping"
    CLOSED = "closed"


class Result(IntEnum):
    """The meter's verdict on a command. Only `NORMAL` is followed by data; a refusal leaves the connection good."""

    NORMAL = 0
    COMMAND = 1
    PARAMETER = 2
    DESIGNATION = 3
    STATUS = 4

    @property
    def ok(self) -> bool:
        return self is Result.NORMAL

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS: Final = (
    "done",
    "the meter does not know this command",
    "the number, type or value of the parameter is wrong",
    "this item can only be read, or only be set",
    "not possible in the meter's present state, or it is busy",
)
_RESULTS: Final = {b"R+%04d" % result: result for result in Result}


class Reply(NamedTuple):
    """The outstanding command is complete. `line` is the data line of an accepted request, else None.

    For a stream command `result.ok` means that lines follow as `StreamLine`.
    """

    command: Command
    result: Result
    line: str | None


class StreamLine(NamedTuple):
    """One line of the running stream."""

    text: str


class NeedData(Enum):
    """The type of `NEED_DATA`."""

    NEED_DATA = "need data"


NEED_DATA: Final = NeedData.NEED_DATA
Event = Reply | StreamLine


class Protocol:
    """One connection: at most one command outstanding, or one stream.

    Prompts (`$`), blank lines, and control characters and telnet negotiation round a line are noise and skipped,
    and so is an echo of the command. Blanks of a data line with columns belong to it: their widths are fixed.
    What arrived before a command was sent is never its answer: `send` drops it. `stale_bytes` counts the bytes
    that were dropped or rejected because they belong to no answer; mere noise is not counted.
    After a ProtocolError the state is `CLOSED`: close the socket and begin with a new Protocol.
    """

    def __init__(self) -> None:
        self.state = State.IDLE
        self.stale_bytes = 0
        self._buffer = bytearray()
        self._searched = 0
        self._taken = 0  # bytes of the reply in progress, or of the last one, that have left the buffer
        self._command: Command
        self._echo = b""
        self._error = ""

    def send(self, command: Command) -> bytes:
        """The bytes of `command`, to be written in one piece. Raises ProtocolMisuse unless idle."""
        if self.state is not State.IDLE:
            raise ProtocolMisuse(f"cannot send {command.line}: the connection is in state '{self.state.value}'")
        self.discard()
        self._taken = 0
        data = command.encode()
        self._command, self._echo, self.state = command, data[:-2], State.AWAIT_RESULT
        return data

    def receive_data(self, data: bytes) -> None:
        """Take bytes as they came. Ask `next_event` until it returns NEED_DATA."""
        if self.state is not State.CLOSED:
            self._buffer += data

    def next_event(self) -> Event | NeedData:
        """The next reply or stream line. Raises ProtocolError, from then on at every call."""
        while True:
            if self.state is State.STOPPING:
                self._forget()
                return NEED_DATA
            if self.state is State.CLOSED:
                raise ProtocolError(self._error)
            line = self._next_line()
            if line is None:
                return NEED_DATA
            if line.strip(b" ") and (event := self._take(line)) is not None:
                return event

    @property
    def has_leftovers(self) -> bool:
        """Whether bytes, be they noise, lie beyond the last reply."""
        return bool(self._buffer)

    def discard(self) -> int:
        """Drop what was received and belongs to no answer; return how many bytes, 0 for nothing but noise."""
        dropped = 0 if _ONLY_NOISE.fullmatch(self._buffer) else len(self._buffer)
        self._forget()
        self.stale_bytes += dropped
        return dropped

    def repeats(self, reply: Reply) -> bool:
        """Whether what was received since is `reply` once more, whole, and nothing else."""
        *lines, rest = (_without_noise(line).strip(b" ") for line in self._buffer.split(b"\n"))
        came = [line for line in lines if line]
        once = [b"R+%04d" % reply.result, *([reply.line.strip(" ").encode()] if reply.line is not None else [])]
        return not rest and bool(came) and came == once * (len(came) // len(once))

    def accept(self) -> None:
        """The last reply is used: its bytes are not to be counted."""
        self._taken = 0

    def reject(self) -> None:
        """Count the bytes of the reply in progress, and of the last one unless it was accepted."""
        self.stale_bytes += self._taken
        self._taken = 0
        self.discard()

    def stop_stream(self) -> bytes:
        """The byte that ends the stream. Lines still in flight are discarded until `stream_ended`."""
        if self.state is not State.STREAMING:
            raise ProtocolMisuse(f"no stream to stop: the connection is in state '{self.state.value}'")
        self.state = State.STOPPING
        self._forget()
        return _SUB

    def stream_ended(self) -> None:
        """The meter has been quiet for long enough (300 ms): commands may follow."""
        if self.state is not State.STOPPING:
            raise ProtocolMisuse(f"no stream is ending: the connection is in state '{self.state.value}'")
        self._forget()
        self.state = State.IDLE

    def _next_line(self) -> bytearray | None:
        end = self._buffer.find(b"\n", self._searched)
        line = self._buffer if end < 0 else self._buffer[:end]
        if len(line) > MAX_LINE:
            line = line.lstrip(_NOISE)
            if len(line) > MAX_LINE:
                raise self._failed(f"the meter sent a line of more than {MAX_LINE} bytes", line)
            if end < 0:
                self._buffer = line
        if end < 0:
            self._searched = len(self._buffer)
            return None
        del self._buffer[: end + 1]
        self._searched = 0
        self._taken += end + 1
        return _without_noise(line)

    def _take(self, line: bytearray) -> Event | None:
        if self.state is State.AWAIT_RESULT:
            return self._take_result(line)
        if self.state is State.IDLE:
            raise self._failed("the meter sent a line nobody asked for", line)
        text = self._text(line)
        if self.state is State.STREAMING:
            self._taken = 0
            return StreamLine(text)
        if text.startswith("R+"):
            raise self._failed("the meter sent a second result code instead of data", line)
        return self._complete(Result.NORMAL, text)

    def _take_result(self, line: bytearray) -> Event | None:
        result = _RESULTS.get(bytes(line.lstrip(b" ")))
        if result is None:
            if line.strip(b" ").lower() == self._echo.lower():
                return None
            raise self._failed("the meter sent no result code where one was due", line)
        kind = self._command.kind
        if result is Result.NORMAL and kind is Kind.REQUEST:
            self.state = State.AWAIT_LINE
            return None
        streams = result is Result.NORMAL and kind is Kind.STREAM
        return self._complete(result, None, State.STREAMING if streams else State.IDLE)

    def _complete(self, result: Result, text: str | None, state: State = State.IDLE) -> Reply:
        self.state = state
        return Reply(self._command, result, text)

    def _text(self, line: bytearray) -> str:
        try:
            text = line.decode("ascii")
        except UnicodeDecodeError:
            raise self._failed("the meter sent bytes beyond ASCII", line) from None
        if not text.isprintable():
            raise self._failed("the meter sent control characters", line)
        return text if "," in text else text.strip(" ")

    def _failed(self, what: str, line: bytes | bytearray) -> ProtocolError:
        shown = ascii(line[:_SHOWN].decode("ascii", "backslashreplace"))
        self._error = f"{what}: {shown}{'…' if len(line) > _SHOWN else ''}"
        self.state = State.CLOSED
        self.reject()
        return ProtocolError(self._error)

    def _forget(self) -> None:
        self._buffer.clear()
        self._searched = 0


def _without_noise(line: bytearray) -> bytearray:
    line = line.rstrip(_NOISE)
    noise = _LEADING_NOISE.match(line)
    return line if noise is None else line[noise.end() :]
