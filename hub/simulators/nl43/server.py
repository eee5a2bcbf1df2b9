"""A simulated meter on a real port: one control connection, an FTP port, and faults that can be switched."""

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import anyio

from hub.simulators.nl43.counters import Counters, Crossing
from hub.simulators.nl43.faults import Fault
from hub.simulators.nl43.ftp import BANNER, FtpDialogue
from hub.simulators.nl43.listener import AcceptMode, Listener
from hub.simulators.nl43.loop import Loop, Timer, running_loop
from hub.simulators.nl43.meter import Meter
from hub.simulators.nl43.options import MeterOptions
from hub.simulators.nl43.session import Session, Unit
from hub.simulators.nl43.waveform import Waveform

_CLOSING = (Fault.REFUSE, Fault.WEDGE)
_HANGING = (Fault.HANG_CONNECT, Fault.HALF_OPEN)


class SimulatedMeter:
    """A running meter, created by `open_simulator`. All its settings may be changed while it runs."""

    def __init__(self, options: MeterOptions, host: str, port: int) -> None:
        self._loop: Loop = running_loop()
        self._unit = Unit(options, Meter(options, options.clock()), Random(options.seed))
        self._listener = Listener(self._loop, host, port, self._on_connect)
        self._ftp = Listener(self._loop, host, options.ftp_port or 0, self._on_ftp_connect)
        self._session: Session | None = None
        self._release: Timer | None = None
        self._others: set[socket.socket] = set()
        self._is_on = False
        self._news: anyio.Event | None = None

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def ftp_port(self) -> int:
        """0 without FTP."""
        return self._ftp.port

    @property
    def meter(self) -> Meter:
        """The meter's own state, without I/O."""
        return self._unit.meter

    @property
    def counters(self) -> Counters:
        return self._unit.counters

    @property
    def fault(self) -> Fault:
        return self._unit.faults.fault

    @property
    def crossing(self) -> Crossing | None:
        """The last level that `cross` set."""
        return self._unit.crossing

    @property
    def has_session(self) -> bool:
        return self._session is not None

    @property
    def is_slot_taken(self) -> bool:
        """True while a session uses the slot, and until `slot_release_s` after its end."""
        return self._session is not None or self._release is not None

    def set_fault(self, fault: Fault | str, *, times: int | None = None, delay_s: float | None = None) -> None:
        """Set the fault; `times` limits it to so many replies, `delay_s` is the delay of `late`."""
        state = self._unit.faults
        state.fault, state.times = Fault(fault), times
        if delay_s is not None:
            state.delay_s = delay_s
        self._update()

    def set_lp(self, lp: float) -> None:
        """Measure this level, in dB, from now on."""
        self.set_waveform(lp)

    def set_waveform(self, waveform: Waveform | float) -> None:
        self.meter.set_waveform(waveform, self._unit.options.clock())

    def cross(self, lp: float) -> None:
        """Jump to a level in dB, and record when a `DOD?` or stream line with it is first sent."""
        self.set_waveform(lp)
        self._unit.crossing = Crossing(lp, time.time())

    def put(self, name: str, value: str) -> None:
        """Change a plain item by hand, as on the meter's own keys. Raises KeyError for an unknown name."""
        self.meter.put(name, value)
        self._update()

    def press(self, line: str) -> int:
        """Execute a command as from the meter's keys, independently of any connection; returns the result code."""
        code = self.meter.execute(line, self._unit.options.clock()).code
        self._update()
        return code

    def drop_session(self, *, with_reset: bool = True) -> None:
        """Cut the running connection, with RST or an orderly end."""
        if self._session is not None:
            self._session.close(with_reset=with_reset)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds; it is checked at each connection, command, reply and close."""
        while not holds():
            if self._news is None:
                self._news = anyio.Event()
            await self._news.wait()

    def switch_on(self) -> None:
        """Open the ports. Raises OSError when one cannot be opened."""
        self._is_on = True
        try:
            self._update()
        except OSError:
            self.switch_off()
            raise

    def switch_off(self) -> None:
        self._is_on = False
        if self._session is not None:
            self._session.close(with_reset=True)
        for sock in list(self._others):
            self._forget(sock)
        self._update()
        if self._release is not None:
            self._release.cancel()

    def _update(self) -> None:
        """Apply the fault, the settings and the slot to the ports and the session."""
        fault, session = self.fault, self._session
        if session is not None:
            if fault in _CLOSING or not self.meter.is_reachable:
                session.close(with_reset=True)
                return
            if fault is Fault.HALF_OPEN:
                session.freeze()
            else:
                session.thaw()
        self._listener.set_mode(self._accept_mode(fault))
        has_ftp = self._unit.options.ftp_port is not None and self.meter.has_ftp and fault is not Fault.REFUSE
        self._ftp.set_mode(AcceptMode.OPEN if self._is_on and has_ftp else AcceptMode.CLOSED)

    def _accept_mode(self, fault: Fault) -> AcceptMode:
        if not self._is_on or fault in _CLOSING or not self.meter.is_reachable:
            return AcceptMode.CLOSED
        if fault in _HANGING:
            return AcceptMode.HANGING
        if not self.is_slot_taken:
            return AcceptMode.OPEN
        match self._unit.options.second_connection:
            case "hang":
                return AcceptMode.HANGING
            case "refuse":
                return AcceptMode.CLOSED
            case "accept_mute":
                return AcceptMode.OPEN

    def _on_connect(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.is_slot_taken:
            self.counters.connections += 1
            self._session = Session(self._loop, sock, self._unit, self._on_change, self._on_session_closed)
            self._session.start()
            self._update()
        else:
            self.counters.second_connections += 1
            self._others.add(sock)
            self._loop.add_reader(sock, lambda: self._discard(sock))
        self._notify()

    def _on_change(self, may_reconfigure: bool) -> None:
        if may_reconfigure:
            self._update()
        self._notify()

    def _on_session_closed(self) -> None:
        self._session = None
        if self._unit.options.slot_release_s > 0 and self._is_on:
            self._release = self._loop.call_later(self._unit.options.slot_release_s, self._on_released)
        self._update()
        self._notify()

    def _on_released(self) -> None:
        self._release = None
        self._update()
        self._notify()

    def _on_ftp_connect(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        dialogue = FtpDialogue()
        self._others.add(sock)
        self._loop.add_reader(sock, lambda: self._discard(sock, dialogue))
        try:
            sock.send(BANNER)
        except OSError:
            self._forget(sock)

    def _discard(self, sock: socket.socket, dialogue: FtpDialogue | None = None) -> None:
        """Read and discard the data of a further connection; answer it only if it is FTP."""
        try:
            data = sock.recv(4096)
            if data and dialogue is not None:
                sock.send(dialogue.receive(data))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or (dialogue is not None and dialogue.is_over):
            self._forget(sock)

    def _forget(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock)
        self._others.discard(sock)
        sock.close()

    def _notify(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.set()


@asynccontextmanager
async def open_simulator(
    options: MeterOptions | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[SimulatedMeter]:
    """Run one meter while the block runs. Raises OSError when a port cannot be opened. Needs asyncio."""
    meter = SimulatedMeter(options or MeterOptions(), host, port)
    meter.switch_on()
    try:
        yield meter
    finally:
        meter.switch_off()
