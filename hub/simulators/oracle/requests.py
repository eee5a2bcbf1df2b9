"""What the client asks in a TTC message, parsed after the piggybacks in front of it (field version 24)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hub.simulators.oracle.encoding import LONG, VARCHAR2, Reader, Scalar, parse_value

FUNCTION, PIGGYBACK, FAST_AUTH = 3, 17, 34
REEXECUTE, FETCH, LOGOFF, COMMIT, ROLLBACK, REEXECUTE_AND_FETCH, EXECUTE = 4, 5, 9, 14, 15, 78, 94
CLOSE_CURSORS, AUTH_TWO, AUTH_ONE, END_TO_END, PING, SET_SCHEMA = 105, 115, 118, 135, 147, 152
SET_KEY_VALUE, SESSION_STATE, ALTER_SESSION = 154, 176, 204

DEFINE_OPTION, EXECUTE_OPTION, FETCH_OPTION, DESCRIBE_OPTION = 0x10, 0x20, 0x40, 0x20000
MAX_STRING = 32767


class UnknownRequest(Exception):
    """The client used a function this server does not know; its length is unknown too."""


@dataclass(frozen=True, slots=True)
class BindType:
    kind: int
    form: int
    is_long: bool


@dataclass(slots=True)
class Request:
    """One message. `piggybacks`: cursors to close, and the session attributes set on the way."""

    function: int
    cursor: int = 0
    sql: str | None = None
    options: int = 0
    count: int = 0
    bind_types: tuple[BindType, ...] = ()
    bind_rows: tuple[tuple[Scalar, ...], ...] = field(default=(), repr=False)
    user: str = ""
    pairs: dict[str, str] = field(default_factory=dict, repr=False)
    closed_cursors: list[int] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)


BindTypesOf = Callable[[int], tuple[BindType, ...]]


def parse_request(data: bytes, bind_types_of: BindTypesOf, *, tokens: bool = True) -> Request:
    """Parse a whole request. `bind_types_of` gives the types a cursor was executed with: a re-execute sends none.

    Raises Incomplete when more packets must follow, UnknownRequest for a function outside this server's set.
    """
    reader = Reader(data)
    request = Request(0)
    kind = reader.byte()
    if kind == FAST_AUTH:
        _skip_negotiation(reader)
        kind, tokens = reader.byte(), False
    while kind == PIGGYBACK:
        _parse_piggyback(reader, request, tokens=tokens)
        kind = reader.byte()
    if kind != FUNCTION:
        raise UnknownRequest(f"message type {kind}")
    request.function = _function(reader, tokens=tokens)
    if request.function in (AUTH_ONE, AUTH_TWO):
        _parse_auth(reader, request)
    elif request.function == EXECUTE:
        _parse_execute(reader, request, bind_types_of)
    elif request.function in (REEXECUTE, REEXECUTE_AND_FETCH):
        request.cursor, request.count = reader.uint(), reader.uint()
        reader.uints(2)
        request.bind_types = bind_types_of(request.cursor)
        rows = request.count if request.function == REEXECUTE else 1
        request.bind_rows = _parse_bind_rows(reader, request.bind_types, rows)
    elif request.function == FETCH:
        request.cursor, request.count = reader.uint(), reader.uint()
    elif request.function not in (LOGOFF, COMMIT, ROLLBACK, PING):
        raise UnknownRequest(f"function {request.function}")
    return request


def _function(reader: Reader, *, tokens: bool) -> int:
    function = reader.byte()
    reader.byte()  # sequence number
    if tokens:
        reader.uint()
    return function


def _skip_negotiation(reader: Reader) -> None:
    """The protocol and data types messages in front of the first authentication message."""
    reader.read(3 + 3)
    while reader.byte():
        pass  # the driver's name, up to its zero
    reader.read(6 + 1 + 5)
    reader.blob()
    reader.blob()
    while reader.read(2) != b"\0\0":
        reader.read(6)


def _parse_piggyback(reader: Reader, request: Request, *, tokens: bool) -> None:
    code = _function(reader, tokens=tokens)
    if code == CLOSE_CURSORS:
        reader.byte()
        request.closed_cursors += reader.uints(reader.uint())
    elif code == END_TO_END:
        _parse_end_to_end(reader, request)
    elif code == SET_SCHEMA:
        reader.byte()
        request.attributes["current_schema"] = reader.sized().decode()
    elif code == SESSION_STATE:
        reader.uint()
    elif code == SET_KEY_VALUE:
        reader.byte()
        reader.uint()
        reader.byte()
        count = reader.uint()
        reader.uint()
        reader.byte()
        reader.blob()
        request.attributes |= _parse_pairs(reader, count)
    elif code == ALTER_SESSION:
        reader.uint()
        reader.byte()
        request.attributes |= _parse_pairs(reader, reader.uint())
    else:
        raise UnknownRequest(f"piggyback {code}")


def _parse_end_to_end(reader: Reader, request: Request) -> None:
    """Module, action and the rest: first which of them come, then their texts in the same order."""
    reader.read(2)
    reader.uint()
    names = []
    for name in ("client_identifier", "module", "action", "", "", "client_info", "", "", "dbop"):
        present = reader.byte()
        length = reader.uint()
        if name and present:
            request.attributes[name] = ""
            if length:
                names.append(name)
    for name in names:
        request.attributes[name] = reader.blob().decode()


def _parse_pairs(reader: Reader, count: int) -> dict[str, str]:
    pairs = {}
    for _ in range(count):
        key = reader.sized().decode()
        pairs[key] = reader.sized().decode()
        reader.uint()
    return pairs


def _parse_auth(reader: Reader, request: Request) -> None:
    has_user = reader.byte()
    reader.uints(2)
    reader.byte()
    count = reader.uint()
    reader.read(2)
    request.user = reader.blob().decode() if has_user else ""
    request.pairs = _parse_pairs(reader, count)


def _parse_execute(reader: Reader, request: Request, bind_types_of: BindTypesOf) -> None:
    request.options, request.cursor = reader.uint(), reader.uint()
    has_sql = reader.byte()
    reader.uint()
    reader.byte()
    reader.uint()
    reader.read(2)
    reader.uint()
    request.count = reader.uint()
    reader.uint()
    reader.byte()
    bind_count = reader.uint()
    reader.read(5)
    reader.byte()
    define_count = reader.uint()
    reader.uint()
    reader.read(3)
    reader.uint()
    reader.byte()
    reader.uints(2)
    for shape in "bubbububbu":  # returned row counts, signature, identifier and chunks: bytes and integers
        reader.byte() if shape == "b" else reader.uint()
    if has_sql:
        request.sql = reader.blob().decode()
    numbers = reader.uints(13)
    if request.options & DEFINE_OPTION:
        _parse_types(reader, define_count)
        request.bind_types = bind_types_of(request.cursor)
    elif bind_count:
        request.bind_types = _parse_types(reader, bind_count)
        is_query = numbers[7]
        request.bind_rows = _parse_bind_rows(reader, request.bind_types, 1 if is_query else numbers[1])


def _parse_types(reader: Reader, count: int) -> tuple[BindType, ...]:
    """Descriptions of binds or defines. Long IN lists repeat one description: equal bytes are read once."""
    types: list[BindType] = []
    data = reader.data
    last = b""
    for _ in range(count):
        if last and data.startswith(last, reader.at):
            reader.at += len(last)
            types.append(types[-1])
            continue
        start = reader.at
        kind = reader.byte()
        reader.read(3)
        size = reader.uint()
        reader.uints(2)
        reader.sized()
        reader.uints(2)
        form = reader.byte()
        reader.uints(2)
        last = data[start : reader.at]
        types.append(BindType(kind, form, size > MAX_STRING))
    return tuple(types)


def _parse_bind_rows(reader: Reader, types: tuple[BindType, ...], rows: int) -> tuple[tuple[Scalar, ...], ...]:
    if not types:
        return ()
    parsed = []
    for _ in range(rows):
        reader.byte()  # row data
        parsed.append(_parse_bind_row(reader, types))
    return tuple(parsed)


def _parse_bind_row(reader: Reader, types: tuple[BindType, ...]) -> tuple[Scalar, ...]:
    if all(each.kind == VARCHAR2 and not each.is_long and each.form == 1 for each in types):
        return _parse_texts(reader, len(types))
    values: list[Scalar] = [None] * len(types)
    # longs are sent behind all others
    for at in sorted(range(len(types)), key=lambda each: types[each].is_long):
        values[at] = parse_value(types[at].kind, types[at].form, reader.blob())
    return tuple(values)


def _parse_texts(reader: Reader, count: int) -> tuple[Scalar, ...]:
    """A row of short texts only, as an IN list of a thousand ids is."""
    data, at, end = reader.data, reader.at, len(reader.data)
    values: list[Scalar] = []
    for _ in range(count):
        length = data[at] if at < end else 0
        if length == LONG or at + 1 + length > end:
            reader.at = at
            raw = reader.blob()
            at = reader.at
        else:
            raw = data[at + 1 : at + 1 + length]
            at += 1 + length
        values.append(raw.decode() if raw else None)
    reader.at = at
    return tuple(values)
