"""The messages the server sends: negotiation, parameters, descriptions, rows, status (field version 24)."""

from collections.abc import Sequence

from hub.simulators.oracle.answers import UTF8, Column, OraError
from hub.simulators.oracle.encoding import blob, sized, uint

PROTOCOL, DATA_TYPES, ERROR, ROW_HEADER, PARAMETERS, STATUS, DESCRIBE = 1, 2, 4, 6, 8, 9, 16
END = b"\x1d"
IN_TRANSACTION = 0x02
NO_DATA = OraError(1403, "no data found")
CANCELLED = OraError(1013, "user requested cancel of current operation")


def negotiation() -> bytes:
    """Protocol and data types as a release 23 answers them in fast authentication."""
    features = bytearray(55)
    features[7] = 24  # field version 23.4
    features[40] = 0x20  # end of response
    runtime = bytearray(13)
    runtime[6] = 0x04  # strings up to 32767 bytes
    charsets = bytes(9) + (2000).to_bytes(2, "big")
    return b"".join(
        (
            bytes((PROTOCOL, 6, 0)),
            b"Linux x86_64 oracle on a wire\0",
            UTF8.to_bytes(2, "little"),
            b"\x01",
            b"\0\0",
            len(charsets).to_bytes(2, "big"),
            charsets,
            blob(bytes(features)),
            blob(bytes(runtime)),
            bytes((DATA_TYPES, 0, 0)),
        )
    )


def parameters(pairs: Sequence[tuple[str, str, int]]) -> bytes:
    """Key, value and flags of the authentication answers."""
    return (
        bytes((PARAMETERS,))
        + uint(len(pairs))
        + b"".join(sized(key.encode()) + sized(value.encode()) + uint(flags) for key, value, flags in pairs)
    )


def status(*, in_transaction: bool = False) -> bytes:
    """The end of a call without a cursor."""
    return bytes((STATUS,)) + uint(IN_TRANSACTION if in_transaction else 0) + b"\0"


def describe(columns: Sequence[Column]) -> bytes:
    """The description of a result's columns."""
    return b"".join(
        (
            bytes((DESCRIBE, 0)),
            uint(sum(column.size for column in columns)),
            uint(len(columns)),
            b"\0" if columns else b"",
            b"".join(column.described(at) for at, column in enumerate(columns, 1)),
            b"\0" * 6,  # date, flags, key
        )
    )


def row_header(columns: int) -> bytes:
    """Comes once before the rows of a round trip."""
    return bytes((ROW_HEADER, 0)) + uint(columns) + b"\0\0\0\0\0"


def outcome(error: OraError | None, *, cursor: int = 0, rowcount: int = 0, in_transaction: bool = False) -> bytes:
    """How the call ended: the error, or none; with the cursor's id and the rows so far."""
    code = error.code if error else 0
    return b"".join(
        (
            bytes((ERROR,)),
            uint(IN_TRANSACTION if in_transaction else 0),
            b"\0",  # sequence number
            uint(rowcount),
            uint(code if code < 65536 else 0),
            b"\0\0",
            uint(cursor),
            b"\0",  # error position
            b"\0" * 6,  # sql type, fatal, flags, cursor options, parameter, warning flags
            b"\0" * 5,  # rowid
            b"\0",  # system error
            b"\0\0",  # statement and call number
            b"\0\0\0",  # padding, iterations, logical rowid
            b"\0\0\0",  # batch errors: codes, offsets, messages
            uint(code),
            uint(rowcount),
            b"\0\0",  # sql type, checksum
            blob(f"{error}\n".encode()) if error else b"",
        )
    )
