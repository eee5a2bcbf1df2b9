"""A meter, and a line to it, on which anything may happen to a reply; in virtual time, by a seeded roll of dice.

Each measurement has a number of its own, written into its levels. What the line adds by itself carries the number
of no measurement, or is a copy of a reply that was sent before. Where such a reply of its own is under way,
the true reply comes in the usual time: were it lost as well, nothing on earth could tell the two apart.
"""

from dataclasses import dataclass, field
from random import Random

from hub.readings.reading import Reading
from hub.runtime.clock import Clock
from tests.hub.nl43.scripted_meter import MISSING
from tests.hub.nl43.wire import Wire

_SUB_CHANNELS = f",{MISSING}" * 3
_NEVER_MEASURED = 1_500_000
USUAL_S = (0.05, 0.4)
REPLY_BYTES = len("R+0000\r\n") + 353


def dod_line(number: int) -> str:
    """A `DOD?` line that carries a number below 1,800,000 in its first two levels."""
    levels = [f"{20 + number % 1000 / 10:5.1f}", f"{20 + number // 1000 / 10:5.1f}", *["  -.-"] * 12, "0", "0"]
    return ",".join(levels) + _SUB_CHANNELS


def number_of(reading: Reading) -> int:
    """The number `dod_line` wrote."""
    assert reading.lp is not None
    assert reading.leq is not None
    return round(reading.lp * 10) - 200 + 1000 * (round(reading.leq * 10) - 200)


@dataclass
class FuzzMeter:
    """`faults` is the share of commands something happens to. `measured` says for which command a number stands.

    `keeps_replies`: what a closed connection had still to bring comes on the next, as from a serial device server.
    """

    clock: Clock
    random: Random
    faults: float = 0.3
    keeps_replies: bool = False
    commands: int = 0
    connections: int = 0
    noise_bytes: int = 0
    measured: dict[int, int] = field(default_factory=dict)
    happened: set[str] = field(default_factory=set)
    _wire: Wire | None = None
    _last_reply: bytes = b""

    async def open_socket(self, host: str, port: int, timeout_s: float) -> Wire:
        """The link's way to this meter."""
        old, self._wire = self._wire, Wire(self.clock, self._on_command)
        self.connections += 1
        if old is not None and self.keeps_replies:
            for after_s, data in old.still_to_come():
                self._wire.arrives(after_s, data)
        if self.random.random() < self.faults:
            greeting = self.random.choice(
                [b"$", b"\xff\xfb\x01\xff\xfd\x03", b"\x00\x11", b"Moxa NPort\r\n", self._foreign()]
            )
            self._say(self.random.uniform(0, 0.2), greeting)
        return self._wire

    def _say(self, after_s: float, data: bytes) -> None:
        assert self._wire is not None
        if not data.strip(b"$\x00\x11\xff\xfb\xfd\x01\x03"):
            self.noise_bytes += len(data)
        self._wire.arrives(after_s, data)

    def _foreign(self) -> bytes:
        return b"R+0000\r\n" + dod_line(_NEVER_MEASURED + self.random.randrange(1000)).encode() + b"\r\n"

    def _on_command(self, command: str) -> None:
        self.commands += 1
        if command == "DOD?":
            number = self.commands
            self.measured[number] = self.commands
            reply = b"R+0000\r\n" + dod_line(number).encode() + b"\r\n"
        else:
            reply = b"R+0000\r\n" + self.random.choice([b"Start", b"Stop"]) + b"\r\n"
        latency_s = self.random.uniform(*USUAL_S)
        if self.random.random() < self.faults:
            assert self._wire is not None
            is_reply_under_way = any(b"R+" in data for _, data in self._wire.still_to_come())
            fault = self.random.choice(_HARMLESS if is_reply_under_way else _FAULTS)
            self.happened.add(fault.__name__)
            fault(self, reply, latency_s)
        else:
            self._say(latency_s, reply)
        if self.random.random() < self.faults:
            self._say(latency_s, b"$")
        self._last_reply = reply

    def late(self, reply: bytes, latency_s: float) -> None:
        self._say(self.random.uniform(2.9, 9.0), reply)

    def slow(self, reply: bytes, latency_s: float) -> None:
        self._say(self.random.uniform(0.4, 2.9), reply)

    def doubled(self, reply: bytes, latency_s: float) -> None:
        self._say(latency_s, reply)
        self._say(latency_s + self.random.choice([0.0, 0.15, self.random.uniform(0, 4)]), reply)

    def copy_of_the_last_first(self, reply: bytes, latency_s: float) -> None:
        self._say(self.random.uniform(0, latency_s), self._last_reply)
        self._say(latency_s, reply)

    def foreign_first(self, reply: bytes, latency_s: float) -> None:
        self._say(self.random.uniform(0, latency_s), self._foreign())
        self._say(latency_s, reply)

    def foreign_between(self, reply: bytes, latency_s: float) -> None:
        self._say(latency_s, reply)
        self._say(latency_s + self.random.uniform(0, 1.0), self._foreign())

    def split(self, reply: bytes, latency_s: float) -> None:
        for cut in range(0, len(reply), 60):
            latency_s += self.random.uniform(0, 0.1)
            self._say(latency_s, reply[cut : cut + 60])

    def short(self, reply: bytes, latency_s: float) -> None:
        place = self.random.randrange(len(reply))
        self._say(latency_s, reply[:place] + reply[place + self.random.choice([1, 1, 1, 40, 400]) :] or b"\n")

    def long(self, reply: bytes, latency_s: float) -> None:
        place = self.random.randrange(len(reply))
        self._say(latency_s, reply[:place] + reply[place : place + self.random.choice([1, 7, 90])] + reply[place:])

    def unasked(self, reply: bytes, latency_s: float) -> None:
        stray = self.random.choice([b"Stop\r\n", b"R+0000\r\n", b"R+0004\r\n", b"163, 43.7\r\n", b"half a li"])
        self._say(latency_s, reply)
        self._say(self.random.uniform(0, 2.0), stray)

    def mute(self, reply: bytes, latency_s: float) -> None:
        pass

    def hangs_up(self, reply: bytes, latency_s: float) -> None:
        self._say(latency_s, reply[: self.random.randrange(len(reply))])
        self._say(latency_s, b"")


_HARMLESS = (
    FuzzMeter.doubled,
    FuzzMeter.copy_of_the_last_first,
    FuzzMeter.foreign_first,
    FuzzMeter.foreign_between,
    FuzzMeter.unasked,
)
_FAULTS = (
    *_HARMLESS,
    FuzzMeter.late,
    FuzzMeter.slow,
    FuzzMeter.split,
    FuzzMeter.short,
    FuzzMeter.long,
    FuzzMeter.mute,
    FuzzMeter.hangs_up,
)
