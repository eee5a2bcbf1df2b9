"""Oracle's value formats: universal integers, length-prefixed bytes, NUMBER, DATE and TIMESTAMP."""

import struct
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

LONG = 0xFE
SHORT_MAX = 252
CHUNK = 32767

VARCHAR2, NUMBER, INTEGER, LONG_TEXT, DATE, RAW, CHAR = 1, 2, 3, 8, 12, 23, 96
BINARY_FLOAT, BINARY_DOUBLE, TIMESTAMP, TIMESTAMP_TZ, TIMESTAMP_LTZ, BOOLEAN = 100, 101, 180, 181, 231, 252
NCHAR_FORM = 2

Scalar: TypeAlias = str | int | float | Decimal | datetime | date | bytes | bool | None


class Raw(bytes):
    """A cell's bytes as they go over the wire, whatever they mean: a date before the year 1, half a character."""


class Incomplete(Exception):
    """The message continues in the next packet."""


def uint(value: int) -> bytes:
    """A universal integer: a length byte (top bit: negative), then big-endian bytes; 0 is one byte."""
    if value == 0:
        return b"\0"
    sign = 0x80 if value < 0 else 0
    value = abs(value)
    length = (value.bit_length() + 7) // 8
    return bytes((length | sign,)) + value.to_bytes(length, "big")


def blob(raw: bytes) -> bytes:
    """Bytes behind their length; from 253 bytes on in chunks; empty is NULL."""
    if len(raw) <= SHORT_MAX:
        return bytes((len(raw),)) + raw
    chunks = [raw[at : at + CHUNK] for at in range(0, len(raw), CHUNK)]
    return bytes((LONG,)) + b"".join(uint(len(chunk)) + chunk for chunk in chunks) + b"\0"


def sized(raw: bytes) -> bytes:
    """Bytes behind two lengths, as names and key/value pairs have them; empty is a single zero."""
    return uint(len(raw)) + blob(raw) if raw else b"\0"


class Reader:
    """Reads a TTC message from the start; raises Incomplete at the end of what has arrived."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise Incomplete
        self.at += 1
        return self.data[self.at - 1]

    def read(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self.data):
            raise Incomplete
        raw = self.data[self.at : end]
        self.at = end
        return raw

    def uint(self) -> int:
        length = self.byte()
        value = int.from_bytes(self.read(length & 0x7F), "big")
        return -value if length & 0x80 else value

    def uints(self, count: int) -> list[int]:
        return [self.uint() for _ in range(count)]

    def blob(self) -> bytes:
        length = self.byte()
        if length != LONG:
            return b"" if length == 0xFF else self.read(length)
        parts = []
        while size := self.uint():
            parts.append(self.read(size))
        return b"".join(parts)

    def sized(self) -> bytes:
        return self.blob() if self.uint() else b""

    def at_end(self) -> bool:
        return self.at >= len(self.data)


def number(value: int | float | Decimal) -> bytes:
    """NUMBER: an exponent byte, then base-100 digits plus one; inverted and closed with 102 if negative."""
    sign, digits, exponent = Decimal(str(value) if isinstance(value, float) else value).as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} has no NUMBER representation")
    text = "".join(map(str, digits)).lstrip("0")
    stripped = text.rstrip("0")
    exponent += len(text) - len(stripped)
    if not stripped:
        return b"\x80"
    if exponent % 2:
        stripped += "0"
        exponent -= 1
    if len(stripped) % 2:
        stripped = "0" + stripped
    pairs = [int(stripped[at : at + 2]) for at in range(0, len(stripped), 2)]
    power = 192 + len(pairs) + exponent // 2
    if sign:
        return bytes((~power & 0xFF, *(101 - pair for pair in pairs), 102))
    return bytes((power, *(pair + 1 for pair in pairs)))


def parse_number(raw: bytes) -> int | Decimal:
    """An int when integral, else a Decimal."""
    if len(raw) == 1:
        return 0
    negative = not raw[0] & 0x80
    if negative:
        power = (~raw[0] & 0xFF) - 193
        pairs = [101 - each for each in (raw[1:-1] if raw[-1] == 102 else raw[1:])]
    else:
        power = raw[0] - 193
        pairs = [each - 1 for each in raw[1:]]
    text = "".join(f"{pair:02d}" for pair in pairs)
    exponent = 2 * (power - len(pairs) + 1)
    digits = text.rstrip("0")
    exponent += len(text) - len(digits)
    if exponent >= 0:
        return int(("-" if negative else "") + digits + "0" * exponent)
    return Decimal((int(negative), tuple(map(int, digits)), exponent))


def moment(value: date, *, fraction: bool) -> bytes:
    """DATE (7 bytes), or TIMESTAMP (11 bytes) with `fraction` and a value that has one."""
    hour = minute = second = micro = 0
    if isinstance(value, datetime):
        hour, minute, second, micro = value.hour, value.minute, value.second, value.microsecond
    raw = bytes(
        (value.year // 100 + 100, value.year % 100 + 100, value.month, value.day, hour + 1, minute + 1, second + 1)
    )
    return raw + struct.pack(">I", micro * 1000) if fraction and micro else raw


def date_bytes(year: int, month: int = 1, day: int = 1) -> Raw:
    """A DATE of any year, before Christ too, or of none: year 0, month 13."""
    century, rest = (abs(year) // 100, abs(year) % 100)
    sign = -1 if year < 0 else 1
    return Raw((100 + sign * century, 100 + sign * rest, month, day, 1, 1, 1))


def as_text(kind: str, value: Scalar) -> str | None:
    """The text that TO_CHAR makes of a date or a number."""
    if value is None:
        return None
    if kind == "NUMBER":
        if isinstance(value, Raw):
            try:
                return str(parse_number(value))
            except ArithmeticError:
                return "~"
        return str(value)
    raw = value if isinstance(value, Raw) else moment(value, fraction=kind == "TIMESTAMP")  # type: ignore[arg-type]
    year = (raw[0] - 100) * 100 + raw[1] - 100
    time = f"{raw[2]:02d}-{raw[3]:02d}T{raw[4] - 1:02d}:{raw[5] - 1:02d}:{raw[6] - 1:02d}"
    return f"{'-' if year < 0 else ' '}{abs(year):04d}-{time}"


def parse_moment(raw: bytes) -> datetime:
    """Naive, as the column has no zone; a TIMESTAMP WITH TIME ZONE comes back in UTC, also naive."""
    value = datetime(  # noqa: DTZ001 - the wire format has no zone
        (raw[0] - 100) * 100 + raw[1] - 100, raw[2], raw[3], raw[4] - 1, raw[5] - 1, raw[6] - 1
    )
    if len(raw) >= 11:
        value += timedelta(microseconds=struct.unpack(">I", raw[7:11])[0] // 1000)
    return value


def parse_value(kind: int, form: int, raw: bytes) -> Scalar:
    """A bound value as Python sees it; empty is NULL."""
    if not raw:
        return None
    if kind in (VARCHAR2, CHAR, LONG_TEXT):
        return raw.decode("utf-16-be" if form == NCHAR_FORM else "utf-8")
    if kind in (NUMBER, INTEGER):
        return parse_number(raw)
    if kind in (DATE, TIMESTAMP, TIMESTAMP_TZ, TIMESTAMP_LTZ):
        return parse_moment(raw)
    if kind == RAW:
        return raw
    if kind == BOOLEAN:
        return raw[-1] == 1
    if kind in (BINARY_DOUBLE, BINARY_FLOAT):
        # positive values have the sign bit set, negative ones are inverted: that makes them sort as bytes
        plain = bytes((raw[0] & 0x7F, *raw[1:])) if raw[0] & 0x80 else bytes(~each & 0xFF for each in raw)
        value: float = struct.unpack(">d" if kind == BINARY_DOUBLE else ">f", plain)[0]
        return value
    raise ValueError(f"this server cannot read a bind of type {kind}")
