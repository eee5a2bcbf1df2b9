"""TNS framing: packets of 8 bytes header, with 2-byte lengths before ACCEPT and 4-byte lengths from there on."""

import struct
from dataclasses import dataclass

CONNECT, ACCEPT, REFUSE, DATA, MARKER = 1, 2, 4, 6, 12
BREAK, RESET, INTERRUPT = 1, 2, 3
END_OF_RESPONSE = 0x2000
END_OF_FILE = 0x0040
HEADER = 8


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet without its header; for DATA also without its flags."""

    kind: int
    body: bytes
    data_flags: int = 0
    size: int = 0


class Framer:
    """Bytes in, packets out. Set `wide` once ACCEPT is sent."""

    def __init__(self) -> None:
        self.wide = False
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        self._pending += data
        packets = []
        at = 0
        while len(self._pending) - at >= HEADER:
            (size,) = struct.unpack_from(">I" if self.wide else ">H", self._pending, at)
            if size < HEADER:
                raise ValueError(f"a packet of {size} bytes")
            if len(self._pending) - at < size:
                break
            kind = self._pending[at + 4]
            body = bytes(self._pending[at + HEADER : at + size])
            if kind == DATA:
                packets.append(Packet(kind, body[2:], int.from_bytes(body[:2], "big"), size))
            else:
                packets.append(Packet(kind, body, 0, size))
            at += size
        del self._pending[:at]
        return packets

    def packet(self, kind: int, body: bytes) -> bytes:
        size = HEADER + len(body)
        head = struct.pack(">IBBH", size, kind, 0, 0) if self.wide else struct.pack(">HHBBH", size, 0, kind, 0, 0)
        return head + body


def answer_packets(payload: bytes, sdu: int) -> list[bytes]:
    """An answer as DATA packets of at most `sdu` bytes, the last one flagged as the end of the response."""
    room = sdu - HEADER - 2
    packets = []
    for at in range(0, len(payload), room):
        part = payload[at : at + room]
        flags = END_OF_RESPONSE if at + room >= len(payload) else 0
        packets.append(struct.pack(">IBBHH", HEADER + 2 + len(part), DATA, 0, 0, flags) + part)
    return packets


def accept(sdu: int) -> bytes:
    """The body of an ACCEPT: version 319 with fast authentication and end-of-response marks."""
    return struct.pack(">HHHHHHHBB8xIIB", 319, 0x0001, 0, 0, 1, 0, 0, 0x41, 0, sdu, sdu, 0) + struct.pack(
        ">I", 0x10000000 | 0x02000000
    )


def refusal(code: int, text: str) -> bytes:
    """The body of a REFUSE with the listener's error."""
    stack = f"(ERROR_STACK=(ERROR=(CODE={code})(EMFI=4)(ARGS='{text}')))"
    reason = f"(DESCRIPTION=(TMP=)(VSNNUM=386465792)(ERR={code}){stack})"
    return struct.pack(">BBH", 1, 0, len(reason)) + reason.encode()


def marker(kind: int) -> bytes:
    """The body of a MARKER."""
    return bytes((1, 0, kind))
