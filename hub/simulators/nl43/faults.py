"""The faults that a simulated meter, its modem or the network between can have."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """One kind of fault.

    Of the listener: `refuse` (control and FTP port closed), `wedge` (control port closed, FTP alive),
    `hang_connect` (connects stay unanswered as when it sleeps, a session goes on). Both closing kinds reset a
    running session.
    Of the session: `mute` (commands are neither answered nor obeyed), `half_open` (nothing is read or sent any
    more, not even a close; connects hang), `banner` (a connect is greeted with telnet negotiation and a banner, as
    by a serial device server).
    Of a reply: all others. The command is obeyed; `late` answers after `delay_s`, `doubled` answers, and once more
    `delay_s` later, `stale` gives the reply before ahead of the true one, `short` loses one byte.
    """

    NONE = "none"
    REFUSE = "refuse"
    WEDGE = "wedge"
    HANG_CONNECT = "hang_connect"
    MUTE = "mute"
    HALF_OPEN = "half_open"
    BANNER = "banner"
    GARBLED = "garbled"
    STRAY_LINE = "stray_line"
    TRUNCATED = "truncated"
    OVERSIZED = "oversized"
    NON_ASCII = "non_ascii"
    LOSE_REPLY = "lose_reply"
    LATE = "late"
    RESET_MID_REPLY = "reset_mid_reply"
    DOUBLED = "doubled"
    STALE = "stale"
    SHORT = "short"


OF_REPLY = frozenset(list(Fault)[list(Fault).index(Fault.GARBLED) :])


@dataclass(slots=True)
class FaultState:
    """The current fault. `times` counts down with each reply, and at 0 the fault ends; None lasts."""

    fault: Fault = Fault.NONE
    times: int | None = None
    delay_s: float = 5.0

    def next(self) -> Fault:
        """The fault of the next reply; counts `times` down."""
        fault = self.fault
        if fault not in OF_REPLY or self.times is None:
            return fault
        self.times -= 1
        if self.times <= 0:
            self.fault, self.times = Fault.NONE, None
        return fault


def spoil(fault: Fault, lines: list[bytes]) -> list[bytes]:
    """The lines of a reply as a meter with this fault sends them; the fault affects the last line."""
    *before, last = lines
    body = last.rstrip(b"\r\n")
    match fault:
        case Fault.GARBLED:
            return [*before, bytes(35 if index % 3 == 1 else byte for index, byte in enumerate(body)) + b"\r\n"]
        case Fault.TRUNCATED:
            return [*before, body[: len(body) // 2] + b"\r\n"]
        case Fault.NON_ASCII:
            return [
                *before,
                bytes(byte | 0x80 if index % 3 == 1 else byte for index, byte in enumerate(body)) + b"\r\n",
            ]
        case Fault.OVERSIZED:
            return [*before, body, b"0" * 10_000]
        case Fault.STRAY_LINE:
            return [*lines, b"Stop\r\n"]
        case Fault.LOSE_REPLY:
            return []
        case Fault.SHORT:
            return [*before, body[:1] + body[2:] + b"\r\n"]
        case Fault.RESET_MID_REPLY:
            return [*before, body[: len(body) // 2]]
        case _:
            return lines
