"""The answers that a handler can give to a statement: rows, a count, an ORA error, a delay, or none at all."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias, cast

from hub.simulators.oracle import encoding
from hub.simulators.oracle.encoding import Scalar, blob, sized, uint

if TYPE_CHECKING:
    from hub.simulators.oracle.session import Session

UTF8 = 873
KINDS = {
    "VARCHAR2": encoding.VARCHAR2,
    "CHAR": encoding.CHAR,
    "NUMBER": encoding.NUMBER,
    "DATE": encoding.DATE,
    "TIMESTAMP": encoding.TIMESTAMP,
}
FIXED_SIZES = {"NUMBER": 22, "DATE": 7, "TIMESTAMP": 11}
ROW = b"\x07"

Row: TypeAlias = Sequence[Scalar] | bytes
"""The values of a row, or the row already encoded by `encode_row`."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result. `size` in characters for text; NUMBER without precision has scale -127."""

    name: str
    kind: str = "VARCHAR2"
    size: int = 40
    precision: int = 0
    scale: int = -127
    nullable: bool = True
    as_text: str = ""  # the kind that TO_CHAR is applied to

    def described(self, position: int) -> bytes:
        """The column as a describe message has it (field version 24)."""
        text = self.kind in ("VARCHAR2", "CHAR")
        octets = self.size * 4 if text else FIXED_SIZES[self.kind]
        is_number = self.kind == "NUMBER"
        return b"".join(
            (
                bytes((KINDS[self.kind], 0, self.precision & 0xFF if is_number else 0)),
                bytes((self.scale & 0xFF if is_number else 0,)),
                uint(octets),
                b"\0\0",  # array elements, flags
                b"\0\0",  # type id, version
                uint(UTF8 if text else 0),
                bytes((1 if text else 0,)),
                uint(self.size if text else 0),
                b"\0",  # column id
                bytes((self.nullable, min(len(self.name), 30))),
                sized(self.name.encode()),
                b"\0\0",  # type schema and name
                uint(position),
                b"\0",  # user type flags
                b"\0\0\0",  # domain schema and name, annotations
                b"\0\0\0",  # vector dimensions, format, flags
            )
        )

    def encoder(self) -> Callable[[Scalar], bytes]:
        """A function that encodes a value of this column."""
        encode = self._encoder()
        return lambda value: blob(value) if isinstance(value, encoding.Raw) and not self.as_text else encode(value)

    def _encoder(self) -> Callable[[Scalar], bytes]:
        if self.as_text:
            return lambda value: blob((encoding.as_text(self.as_text, value) or "").encode())
        if self.kind == "CHAR":
            return lambda value: blob(str(value).ljust(self.size).encode()) if value is not None else b"\0"
        if self.kind == "VARCHAR2":
            return lambda value: blob(str(value).encode()) if value is not None else b"\0"
        if self.kind == "NUMBER":
            return lambda value: (
                blob(encoding.number(cast(int | float | Decimal, value))) if value is not None else b"\0"
            )
        fraction = self.kind == "TIMESTAMP"
        return lambda value: (
            blob(encoding.moment(cast(date, value), fraction=fraction)) if value is not None else b"\0"
        )


def encode_row(encoders: Sequence[Callable[[Scalar], bytes]], row: Sequence[Scalar]) -> bytes:
    """A whole row message."""
    return ROW + b"".join([encode(value) for encode, value in zip(encoders, row, strict=True)])


@dataclass(frozen=True, slots=True)
class Binds:
    """The values of a statement in order of occurrence in its text, and all rows of an executemany."""

    names: tuple[str, ...] = ()
    rows: tuple[tuple[Scalar, ...], ...] = ()

    @property
    def values(self) -> tuple[Scalar, ...]:
        return self.rows[0] if self.rows else ()

    def by_name(self) -> dict[str, Scalar]:
        return dict(zip(self.names, self.values, strict=True))


@dataclass(frozen=True, slots=True)
class ResultSet:
    """The rows of a query. `transaction`: it opens one in the session, as a select over a database link does."""

    columns: Sequence[Column]
    rows: Iterable[Row] = field(repr=False)
    transaction: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a statement without rows."""

    rowcount: int = 0
    transaction: bool = True


class OraError(Exception):
    """An error of the database; `text` is what follows the code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"ORA-{self.code:05d}: {self.text}"


@dataclass(frozen=True, slots=True)
class Delay:
    """`then`, after so many seconds."""

    seconds: float
    then: "Answer"


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the client breaks the call or disconnects."""


Answer: TypeAlias = ResultSet | Done | OraError | Delay | Hang
Handler: TypeAlias = Callable[[str, Binds, "Session"], Answer | None]
"""Answers a statement; None leaves it to the plant."""
