"""One control connection of a simulated meter: reads commands and writes replies, with the configured faults."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from hub.simulators.nl43.counters import Counters, Crossing
from hub.simulators.nl43.faults import Fault, FaultState, spoil
from hub.simulators.nl43.listener import reset
from hub.simulators.nl43.loop import Loop, Timer
from hub.simulators.nl43.meter import OK, STATUS, Answer, Meter
from hub.simulators.nl43.options import MeterOptions

_SUB = b"\x1a"
_PROMPT = b"$"
_BANNER = b"\xff\xfb\x01\xff\xfb\x03\r\nSerial device server\r\n"
_LONGEST_COMMAND = 1024
_SILENT = (Fault.MUTE, Fault.HALF_OPEN)
_ANSWERS_WELL = (Fault.NONE, Fault.BANNER)
GAP_S = 0.2
DOD_GAP_S = 1.0


@dataclass
class Unit:
    """The state of a meter that outlives a connection. Times are of the meter's steady clock."""

    options: MeterOptions
    meter: Meter
    random: Random
    faults: FaultState = field(default_factory=FaultState)
    counters: Counters = field(default_factory=Counters)
    replied: float | None = None
    dod_replied: float | None = None
    crossing: Crossing | None = None

    def note_crossing(self) -> None:
        """Record that a line with the current level is about to be sent."""
        if self.crossing is not None and self.crossing.sent_at is None:
            self.crossing = self.crossing._replace(sent_at=time.time())


class Session:
    """A session calls `closed()` once, when its socket is closed, and `changed(may_reconfigure)` after every event.

    `may_reconfigure` is True after a setting, which may have changed the ports.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        unit: Unit,
        changed: Callable[[bool], None],
        closed: Callable[[], None],
    ) -> None:
        self._loop, self._socket, self._unit = loop, sock, unit
        self._changed, self._closed = changed, closed
        self._buffer = b""
        self._is_open = True
        self._is_busy = False
        self._is_frozen = False
        self._timer: Timer | None = None
        self._streams = False
        self._stream_param = ""
        self._last_reply: list[bytes] = []
        self._lines_left: int | None = None
        self._counter = 0
        self._due = 0.0

    def start(self) -> None:
        self._loop.add_reader(self._socket, self._on_readable)
        if self._unit.faults.fault is Fault.BANNER:
            self._send(_BANNER)
        if self._unit.options.prompt in ("after_response", "both") and self._unit.faults.fault not in _SILENT:
            self._send(_PROMPT)

    def freeze(self) -> None:
        """Ignore the connection from now on, even its end."""
        if not self._is_frozen and self._is_open:
            self._is_frozen = True
            self._loop.remove_reader(self._socket)

    def thaw(self) -> None:
        if self._is_frozen and self._is_open:
            self._is_frozen = False
            self._loop.add_reader(self._socket, self._on_readable)

    def close(self, *, with_reset: bool = False) -> None:
        if not self._is_open:
            return
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_frozen:
            self._loop.remove_reader(self._socket)
        if with_reset:
            reset(self._socket)
        else:
            self._socket.close()
        self._closed()

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        if self._streams and _SUB in data and self._lines_left is None:
            self._lines_left = self._unit.options.drd_late_lines
            if not self._lines_left:
                self._end_stream()
        *lines, rest = (self._buffer + data.replace(_SUB, b"")).split(b"\n")
        self._buffer = rest[-_LONGEST_COMMAND:]
        for index, line in enumerate(lines):
            self._handle(line.removesuffix(b"\r").decode("ascii", "replace"), comes_early=index > 0)
        if lines:
            self._changed(False)

    def _handle(self, line: str, *, comes_early: bool) -> None:
        unit, options = self._unit, self._unit.options
        now = options.clock()
        unit.counters.received(now, line)
        if comes_early or self._is_busy or self._streams:
            unit.counters.overlapping += 1
            return
        is_too_soon = self._measure_gap(line, now)
        if unit.faults.fault in _SILENT or (is_too_soon and options.gap == "drop"):
            return
        answer = Answer(STATUS) if is_too_soon and options.gap == "R+0004" else None
        self._is_busy = True
        least, most = options.delay_s
        if most > 0:
            self._timer = self._loop.call_later(
                unit.random.uniform(least, most), partial(self._answer, line, answer)
            )
        else:
            self._answer(line, answer)

    def _measure_gap(self, line: str, now: float) -> bool:
        """Whether the command came too soon after the previous reply."""
        unit, counters = self._unit, self._unit.counters
        is_too_soon = False
        if unit.replied is not None:
            gap = now - unit.replied
            counters.least_gap_s = min(counters.least_gap_s, gap)
            is_too_soon = gap < GAP_S
        if unit.dod_replied is not None and line.upper() == "DOD?":
            gap = now - unit.dod_replied
            counters.least_dod_gap_s = min(counters.least_dod_gap_s, gap)
            is_too_soon = is_too_soon or gap < DOD_GAP_S
        return is_too_soon

    def _answer(self, line: str, answer: Answer | None) -> None:
        unit, options = self._unit, self._unit.options
        fault = unit.faults.next()
        if fault in _SILENT:
            self._is_busy = False
            return
        echoes = unit.meter["Echo"] == "On"
        if answer is None:
            answer = unit.meter.execute(line, options.clock())
        lines = [b"R+%04d\r\n" % answer.code]
        if answer.line is not None:
            lines.append(answer.line.encode("ascii") + b"\r\n")
        if fault not in _ANSWERS_WELL:
            lines = spoil(fault, lines)
        if lines:
            if options.prompt in ("before_result", "both"):
                lines[0] = _PROMPT + lines[0]
            if echoes:
                lines.insert(0, f"{line}\r\n".encode("ascii", "replace"))
            if options.prompt in ("after_response", "both") and not answer.streams:
                lines.append(_PROMPT)
        if fault in _ANSWERS_WELL and line.upper() == "DOD?":
            unit.note_crossing()
        before, self._last_reply = self._last_reply, lines
        if fault is Fault.STALE:
            lines = [*before, *lines]
        done = partial(self._answered, line, answer, fault)
        if fault is Fault.LATE:
            self._timer = self._loop.call_later(unit.faults.delay_s, partial(self._write, lines, done))
        else:
            self._write(lines, done)

    def _write(self, lines: list[bytes], done: Callable[[], None]) -> None:
        match self._unit.options.segmentation:
            case "whole":
                pieces = [b"".join(lines)] if lines else []
            case "lines":
                pieces = lines
            case "bytes":
                pieces = [bytes([byte]) for byte in b"".join(lines)]
        self._write_on(pieces, 0, done)

    def _write_on(self, pieces: list[bytes], index: int, done: Callable[[], None]) -> None:
        if index < len(pieces):
            self._send(pieces[index])
        if not self._is_open:
            return
        if index + 1 < len(pieces):
            self._loop.call_soon(partial(self._write_on, pieces, index + 1, done))
        else:
            done()

    def _answered(self, line: str, answer: Answer, fault: Fault) -> None:
        unit = self._unit
        self._is_busy = False
        unit.counters.replies += 1
        unit.replied = unit.options.clock()
        if line.upper() == "DOD?":
            unit.dod_replied = unit.replied
        if fault is Fault.RESET_MID_REPLY:
            self.close(with_reset=True)
        elif fault is Fault.DOUBLED:
            self._loop.call_later(unit.faults.delay_s, partial(self._send, b"".join(self._last_reply)))
        elif answer.streams:
            self._streams, self._stream_param = True, line.partition("?")[2].strip()
            self._lines_left, self._counter = None, 0
            self._due = self._loop.time()
            self._next_line_later()
        self._changed(answer.code == OK and answer.line is None and not answer.streams)

    def _next_line_later(self) -> None:
        self._due += self._unit.options.drd_interval_s
        self._timer = self._loop.call_at(self._due, self._stream_line)

    def _stream_line(self) -> None:
        unit = self._unit
        now = unit.options.clock()
        self._counter = self._counter % 600 + 1
        line = unit.meter.drd_line(self._counter, now)
        if self._stream_param:
            line += unit.meter.status_fields(now)
        fault = unit.faults.next()
        if fault in _ANSWERS_WELL:
            unit.note_crossing()
        if fault not in _SILENT:
            self._send(b"".join(spoil(fault, [line.encode("ascii") + b"\r\n"])))
            unit.counters.stream_lines += 1
        if fault is Fault.RESET_MID_REPLY:
            self.close(with_reset=True)
        if not self._is_open:
            return
        if self._lines_left is not None:
            self._lines_left -= 1
            if self._lines_left <= 0:
                self._end_stream()
                return
        self._next_line_later()

    def _end_stream(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._streams = False
        self._unit.replied = self._unit.options.clock()
        if self._unit.options.prompt in ("after_response", "both"):
            self._send(_PROMPT)
        self._changed(False)

    def _send(self, data: bytes) -> None:
        """Send data; a client with some hundred kilobytes unread is dropped."""
        if not self._is_open:
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._unit.counters.overruns += 1
            self.close(with_reset=True)
