"""A simulated meter on a real port: one control slot, an FTP port beside it, and faults that come and go."""

import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import anyio

from hub.simulators.nl43.counters import Counters, Crossing
from hub.simulators.nl43.faults import Fault
from hub.simulators.nl43.ftp import BANNER, FtpDialogue
from hub.simulators.nl43.listener import Listener, Stance
from hub.simulators.nl43.loop import Loop, Timer, running_loop
from hub.simulators.nl43.meter import Meter
from hub.simulators.nl43.options import MeterOptions
from hub.simulators.nl43.session import Session, Unit
from hub.simulators.nl43.waveform import Waveform

_CLOSING = (Fault.REFUSE, Fault.WEDGE)
_HANGING = (Fault.HANG_CONNECT, Fault.HALF_OPEN)


class SimulatedMeter:
    """Made by `open_simulator`. Everything may be changed while it runs."""

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
        """The last level it was told to jump to."""
        return self._unit.crossing

    @property
    def has_session(self) -> bool:
        return self._session is not None

    @property
    def is_slot_taken(self) -> bool:
        """By a session, or still by one that ended less than `slot_release_s` ago."""
        return self._session is not None or self._release is not None

    def set_fault(self, fault: Fault | str, *, times: int | None = None, delay_s: float | None = None) -> None:
        """From now on; `times` limits a fault of replies to so many, `delay_s` belongs to `late`."""
        state = self._unit.faults
        state.fault, state.times = Fault(fault), times
        if delay_s is not None:
            state.delay_s = delay_s
        self._update()

    def set_lp(self, lp: float) -> None:
        """Hear this level from now on, dB."""
        self.hear(lp)

    def hear(self, waveform: Waveform | float) -> None:
        self.meter.hear(waveform, self._unit.options.clock())

    def cross(self, lp: float) -> None:
        """Jump to a level and note when a `DOD?` or stream line with it is first sent."""
        self.hear(lp)
        self._unit.crossing = Crossing(lp, time.time())

    def put(self, name: str, value: str) -> None:
        """Change a plain item by hand, as on the meter's own keys. Raises KeyError for an unknown name."""
        self.meter.put(name, value)
        self._update()

    def press(self, line: str) -> int:
        """A command as if given on the meter's keys: obeyed whatever the connection does. Gives the result code."""
        code = self.meter.execute(line, self._unit.options.clock()).code
        self._update()
        return code

    def drop_session(self, *, with_reset: bool = True) -> None:
        """Cut the running connection, with RST or an orderly end."""
        if self._session is not None:
            self._session.close(with_reset=with_reset)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something this meter sees happen: a connection, a command, a reply, an end."""
        while not holds():
            if self._news is None:
                self._news = anyio.Event()
            await self._news.wait()

    def switch_on(self) -> None:
        """Raises OSError when a port cannot be had."""
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
        """Let the ports and the session follow the fault, the settings and the slot."""
        fault, session = self.fault, self._session
        if session is not None:
            if fault in _CLOSING or not self.meter.is_reachable:
                session.close(with_reset=True)
                return
            if fault is Fault.HALF_OPEN:
                session.freeze()
            else:
                session.thaw()
        self._listener.become(self._stance(fault))
        has_ftp = self._unit.options.ftp_port is not None and self.meter.has_ftp and fault is not Fault.REFUSE
        self._ftp.become(Stance.OPEN if self._is_on and has_ftp else Stance.CLOSED)

    def _stance(self, fault: Fault) -> Stance:
        if not self._is_on or fault in _CLOSING or not self.meter.is_reachable:
            return Stance.CLOSED
        if fault in _HANGING:
            return Stance.HANGING
        if not self.is_slot_taken:
            return Stance.OPEN
        match self._unit.options.second_connection:
            case "hang":
                return Stance.HANGING
            case "refuse":
                return Stance.CLOSED
            case "accept_mute":
                return Stance.OPEN

    def _on_connect(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.is_slot_taken:
            self.counters.connections += 1
            self._session = Session(self._loop, sock, self._unit, self._on_news, self._on_session_closed)
            self._session.start()
            self._update()
        else:
            self.counters.second_connections += 1
            self._others.add(sock)
            self._loop.add_reader(sock, lambda: self._discard(sock))
        self._tell()

    def _on_news(self, may_reconfigure: bool) -> None:
        if may_reconfigure:
            self._update()
        self._tell()

    def _on_session_closed(self) -> None:
        self._session = None
        if self._unit.options.slot_release_s > 0 and self._is_on:
            self._release = self._loop.call_later(self._unit.options.slot_release_s, self._on_released)
        self._update()
        self._tell()

    def _on_released(self) -> None:
        self._release = None
        self._update()
        self._tell()

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
        """Read what a side connection says; answer it only when it is FTP."""
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

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.set()


@asynccontextmanager
async def open_simulator(
    options: MeterOptions | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[SimulatedMeter]:
    """One meter for as long as the block runs. Raises OSError when a port cannot be had. Needs asyncio."""
    meter = SimulatedMeter(options or MeterOptions(), host, port)
    meter.switch_on()
    try:
        yield meter
    finally:
        meter.switch_off()
